"""Every known trap: it is warned of where it is, and not where it is not."""

import math

import numpy as np
import pytest
import torch

from mmsa_core.datasets.recognition import NUMPY_1, NUMPY_2, Looks
from mmsa_core.inspection.traps.holes import chance

VIDEOS, CLIPS = 10, 6


def ids(prefix, videos=VIDEOS):
    return [f"{prefix}{video}$_${clip}" for video in range(videos) for clip in range(CLIPS)]


def noise(seed, rows, width=3, frames=2):
    return np.random.default_rng(seed).normal(size=(rows, frames, width)).astype(np.float32)


@pytest.fixture
def clean(by_hand):
    """A corpus in which nothing is wrong, with changes to it."""

    def made(train=None, valid=None, notes=(), widths=(3, 3), rows=VIDEOS * CLIPS, targets=None):
        names = {"train": ids("t"), "valid": ids("v")}
        splits = {}
        for seed, (name, changed) in enumerate((("train", train), ("valid", valid))):
            content = {"audio": noise(seed, rows, widths[0]), "vision": noise(seed + 9, rows, widths[1])}
            score = np.random.default_rng(seed + 99).uniform(-3, 3, rows).round(1)
            target = {
                "score": torch.tensor(score, dtype=torch.float32),
                "label": torch.tensor(np.sign(score) + 1).long(),
            }
            given = {"ids": names[name], "targets": target, **content, **(changed or {})}
            splits[name] = by_hand.arrays(**given)
        return by_hand.corpus(notes, **splits)

    return made


def test_nothing_is_wrong_with_a_clean_corpus(by_hand, clean):
    assert by_hand.warned(clean()) == {}


@pytest.mark.parametrize(("widths", "named"), [((5, 20), "5 and 20"), ((74, 47), "74 and 47"), ((74, 35), "MOSEI")])
def test_feature_sets_of_mosi(by_hand, clean, widths, named):
    found = by_hand.warned(clean(widths=widths))
    assert list(found) == ["mosi-feature-set"]
    assert found["mosi-feature-set"].level == "note"
    assert named in found["mosi-feature-set"].found
    others = {"5/20", "74/47", "74/35"} - {f"{widths[0]}/{widths[1]}"}
    assert all(other in found["mosi-feature-set"].means for other in others)


def test_the_set_of_mosei_is_no_trap_in_a_large_corpus(by_hand):
    rows = 2200
    split = by_hand.arrays(map(str, range(rows)), audio=noise(0, rows, 74, 1), vision=noise(1, rows, 35, 1))
    assert by_hand.warned(by_hand.corpus(train=split)) == {}


def test_minus_inf_in_covarep(by_hand, clean):
    audio = noise(0, 60, 74)
    audio[3, 1, 5] = audio[4, 0, 2] = -math.inf
    found = by_hand.warned(clean(train={"audio": audio}, widths=(74, 3)))
    assert list(found) == ["covarep-inf"]
    assert "2 in train" in found["covarep-inf"].found
    audio[0, 0, 0] = math.nan
    found = by_hand.warned(clean(train={"audio": audio}, widths=(74, 3)))
    assert list(found) == ["covarep-inf", "nonfinite"]
    assert "audio 1 in train" in found["nonfinite"].found


def test_minus_inf_elsewhere_is_no_covarep(by_hand, clean):
    vision = noise(0, 60)
    vision[3, 1, 2] = -math.inf
    found = by_hand.warned(clean(valid={"vision": vision}))
    assert list(found) == ["nonfinite"]
    assert "vision 1 in valid" in found["nonfinite"].found


def test_swapped_columns(by_hand, clean):
    classes = torch.arange(60) % 3
    found = by_hand.warned(clean({"targets": {"score": classes.float()}}, {"targets": {"score": classes.float()}}))
    assert list(found) == ["swapped-labels"]
    assert "120 scores are 0 or 1 or 2" in found["swapped-labels"].found
    note = "train: classification_labels are not read: -1.5 in row 0 is not a class number"
    noted = clean({"targets": {"score": classes.float()}}, {"targets": {}}, notes=[note])
    assert "no classes" in by_hand.warned(noted)["swapped-labels"].found


def test_whole_scores_of_a_scale_are_not_swapped(by_hand, clean):
    score = {"targets": {"score": (torch.arange(60) % 7 - 3).float()}}
    assert by_hand.warned(clean(score, score)) == {}


def test_class_numbers_that_are_no_classes(by_hand, clean):
    label = torch.arange(60) % 3
    label[7] = 2**31 - 1  # nothing of that size is made
    found = by_hand.warned(clean({"targets": {"label": label}}))
    assert list(found) == ["class-numbers"]
    assert found["class-numbers"].found.startswith("class numbers up to 2147483647 in train; those from 1000 on")


@pytest.mark.parametrize("classes", [2, 3])
def test_signs_that_disagree_with_classes(by_hand, clean, classes):
    score = torch.tensor(np.random.default_rng(1).uniform(-3, 3, 60).round(1), dtype=torch.float32)
    right = (score > 0).long() if classes == 2 else score.sign().long() + 1
    found = by_hand.warned(clean({"targets": {"score": score, "label": classes - 1 - right}}))
    assert list(found) == ["swapped-signs"]
    assert found["swapped-signs"].found.startswith("train")
    assert by_hand.warned(clean({"targets": {"score": score, "label": right}})) == {}


def test_missing_by_video(by_hand, clean):
    by_video = np.repeat(np.arange(VIDEOS) < 6, CLIPS)
    found = by_hand.warned(clean({"present": {"vision": by_video}}))
    assert list(found) == ["missing-by-video"]
    assert "of 10 videos with two and more clips, 4 lack it, 6 keep it, 0 are mixed" in found["missing-by-video"].found


def test_missing_mostly_by_video(by_hand, clean):
    by_video = np.repeat(np.arange(VIDEOS) < 6, CLIPS)
    by_video[[0, 50]] ^= True
    assert "2 are mixed" in by_hand.warned(clean({"present": {"vision": by_video}}))["missing-by-video"].found


@pytest.mark.parametrize("seed", range(5))
def test_missing_by_chance(by_hand, clean, seed):
    by_chance = np.random.default_rng(seed).random(60) < 0.6
    assert by_hand.warned(clean({"present": {"vision": by_chance}})) == {}


def test_the_permutation_test_is_one():
    """Under chance it is below a level about as often as the level says."""
    video = np.repeat(np.arange(10), 4)
    found = [chance(np.random.default_rng(seed).random(40) < 0.5, video) for seed in range(100)]
    assert 0.02 <= np.mean(np.array(found) <= 0.1) <= 0.25
    assert min(found) > 1 / 501


def test_rows_with_nothing(by_hand, clean):
    lost = np.arange(60) % 6 != 0
    found = by_hand.warned(clean({"present": {"audio": lost, "vision": lost}}))
    assert list(found) == ["rows-with-nothing"]
    assert found["rows-with-nothing"].found == "rows without any modality: 10 of 60 in train"


def test_train_without_a_modality(by_hand, clean):
    found = by_hand.warned(clean({"present": {"vision": np.zeros(60, dtype=bool)}}))
    assert list(found) == ["absent-in-train"]
    assert "no row of train has vision, but rows of valid do" in found["absent-in-train"].found


def test_a_modality_that_nobody_has_is_no_trap(by_hand, clean):
    none = {"present": {"vision": np.zeros(60, dtype=bool)}}
    assert by_hand.warned(clean(none, none)) == {}


def test_padding_and_zeros(by_hand):
    x = [[1.0, 2.0]]
    late = by_hand.corpus(train=by_hand.split(["a", "b"], text=[[None, [1.0, 3.0]], [[4.0, 1.0], *x]]))
    zero = by_hand.corpus(train=by_hand.split(["a", "b"], text=[[*x, [0.0, 0.0], [1.0, 3.0]], [[4.0, 1.0]]]))
    for found, name in ((late, "padding-at-the-front"), (zero, "zero-frames")):
        warned = by_hand.warned(found)
        assert list(warned) == [name]
        assert "text 1 in train" in warned[name].found
        assert warned[name].level == "note"


def test_shared_videos(by_hand, clean):
    other = ids("v")
    other[0] = "t3$_$77"
    found = by_hand.warned(clean(valid={"ids": other}))
    assert list(found) == ["shared-splits"]
    assert found["shared-splits"].level == "warning"
    assert found["shared-splits"].found == "train and valid share 1 video (t3)"


def test_ids_counted_anew_are_a_note(by_hand, clean):
    found = by_hand.warned(clean(valid={"ids": ids("t")}))
    assert list(found) == ["shared-splits"]
    assert found["shared-splits"].level == "note"
    assert "60 ids" in found["shared-splits"].found


def test_shared_content(by_hand, clean):
    corpus = clean()
    train = corpus.splits["train"]
    copied = {modality: by_hand.padded(train, modality) for modality in ("audio", "vision")}
    valid = by_hand.changed(corpus.splits["valid"], **copied)
    found = by_hand.warned(by_hand.corpus(train=train, valid=valid))
    assert list(found) == ["shared-splits"]
    assert found["shared-splits"].level == "warning"
    assert "60 rows of the same content" in found["shared-splits"].found


def test_duplicates(by_hand, clean):
    audio, vision = noise(0, 60), noise(9, 60)
    audio[7], vision[7] = audio[2], vision[2]
    names = ids("t")
    names[9] = names[8]
    found = by_hand.warned(clean({"audio": audio, "vision": vision, "ids": names}))
    assert list(found) == ["repeated-ids", "duplicates"]
    assert (
        "1 rows repeat the content of another row of their split (first: rows 2 and 7 of train)"
        in found["duplicates"].found
    )
    assert "t1$_$2" in found["repeated-ids"].found


def test_copies_of_one_modality_are_a_note(by_hand):
    x = noise(0, 9)
    x[7] = x[2]
    found = by_hand.warned(by_hand.corpus(train=by_hand.arrays("abcdefghi", text=x)))
    assert {name: each.level for name, each in found.items()} == {"duplicates": "note"}


@pytest.mark.parametrize(("writer", "named"), [(NUMPY_1, "numpy.core"), (NUMPY_2, "numpy._core")])
def test_who_wrote_a_pickle(by_hand, clean, writer, named):
    found = by_hand.warned(clean(), Looks("a pickle", "mmsa-pickle", {"written by": writer}))
    assert list(found) == ["numpy-core"]
    assert named in found["numpy-core"].found
    assert by_hand.warned(clean(), Looks("a folder", "folder")) == {}
