"""Runs against a baseline: what is compared, what is said of it, and what is refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmsa_core.comparison import comparability, compare_display, compare_tables
from mmsa_core.comparison.comparability import Candidate
from mmsa_core.comparison.compare import SAME, check_resamples, chosen_metrics, compare, units
from mmsa_core.corpora import data
from mmsa_core.corpora.corpus import Split
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.evaluation import protocol_file
from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.evaluation.protocol import Average, Condition, Protocol
from mmsa_core.evaluation.scores import Answers, Scores
from mmsa_core.training import experiment

PROTOCOL = Protocol("two", {"easy": Condition(), "hard": Condition()}, {"mean": Average(("easy", "hard"))}, "", "seen")
N = 120
IDS = tuple(f"v{n // 4}$_${n}" for n in range(N))
LABEL = torch.linspace(-3, 3, N)[torch.randperm(N, generator=torch.Generator().manual_seed(0))]


def noise(*seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=N).astype(np.float32))


def evaluated(make, score, seeds=(1, 2, 3), task=None, ids=IDS, rows=None, threshold=None):
    """A run that answers `score(seed, condition)`."""
    task = task or {"kind": "regression"}
    recipe = make.tiny(task=task)
    every = dict.fromkeys(PROTOCOL.conditions, torch.ones(N, dtype=torch.bool)) | (rows or {})
    nothing = torch.zeros(N, dtype=torch.int64)
    scores = tuple(
        Scores(
            seed=seed,
            ids=ids,
            target=LABEL,
            threshold=threshold,
            answers={name: Answers(score(seed, name), nothing, nothing.float()) for name in PROTOCOL.conditions},
            rows=every,
        )
        for seed in seeds
    )
    split = Split(ids, {"text": Sequences.none(N, 4)}, {"score": LABEL})
    return Evaluated(Path("run"), recipe, PROTOCOL, "test", split, LABEL, "digest", scores)


def plain(seed, condition, gain=1.0, shift=0.0):
    size = {"easy": 1.0, "hard": 2.5}[condition]
    return (gain * LABEL + size * noise(7) + 0.4 * noise(seed) + shift).unsqueeze(1)


def better(seed, condition):
    return plain(seed, condition, gain=4.0)


def moved(seed, condition):
    """As `plain`, but nearly everything is called positive."""
    return plain(seed, condition, shift=2.5)


def row(found, run, metric, condition):
    (one,) = [each for each in found.of(run, metric) if each.condition == condition]
    return one


def test_a_run_that_ranks_better_is_better(make):
    found = compare({"base": evaluated(make, plain), "good": evaluated(make, better)}, resamples=999)
    assert found.metrics[:2] == ("f1_non0", "auc_non0")
    ours = row(found, "good", "auc_non0", "mean")
    assert (ours.verdict, ours.family) == ("better", "averages")
    assert ours.difference == pytest.approx(ours.value - ours.baseline)
    assert 0 < ours.interval.low < ours.difference < ours.interval.high
    assert ours.d > 0
    assert not ours.threshold_effect
    assert row(found, "good", "mae", "easy").verdict == "worse"  # four times too large
    assert row(found, "good", "mae", "easy").difference > 0
    turned = compare({"good": evaluated(make, better), "base": evaluated(make, plain)}, resamples=999)
    back = row(turned, "base", "auc_non0", "mean")
    assert back.verdict == "worse"
    assert (back.difference, back.interval.low, back.d) == pytest.approx(
        (-ours.difference, -ours.interval.high, -ours.d)
    )


def test_the_means_are_those_of_evaluate(make):
    runs = {"base": evaluated(make, plain), "good": evaluated(make, better)}
    found = compare(runs, resamples=199)
    for name, each in runs.items():
        summary = each.summary()
        for condition, values in (summary["conditions"] | summary["averages"]).items():
            for metric in found.metrics:
                mine = row(found, "good", metric, condition)
                assert values[metric]["mean"] == pytest.approx(mine.baseline if name == "base" else mine.value)


def test_averages_are_averaged_inside_each_resample(make):
    found = compare({"base": evaluated(make, plain), "good": evaluated(make, better)}, resamples=199)
    for each in found.distributions.values():
        easy, hard, mean = (each.resampled["f1_non0", name] for name in ("easy", "hard", "mean"))
        assert mean == pytest.approx((easy + hard) / 2)


def test_the_same_numbers_whatever_else_is_compared(make):
    base, good, other = (evaluated(make, score) for score in (plain, better, moved))
    alone = compare({"base": base, "good": good}, resamples=299)
    again = compare({"base": base, "good": good}, resamples=299)
    among = compare({"base": base, "other": other, "good": good}, resamples=299)
    assert alone.rows == again.rows
    assert alone.of("good", "f1_non0")[0].interval == among.of("good", "f1_non0")[0].interval
    seeded = compare({"base": base, "good": good}, resamples=299, seed=1)
    assert alone.of("good", "f1_non0")[0].interval != seeded.of("good", "f1_non0")[0].interval


def test_a_run_is_not_distinguishable_from_itself(make):
    base = evaluated(make, plain)
    found = compare({"base": base, "again": base}, resamples=199)
    assert {(each.difference, each.interval.p, each.d, each.verdict) for each in found.rows} == {(0.0, 1.0, None, SAME)}


def test_what_only_moves_the_threshold_is_said_to(make):
    found = compare({"base": evaluated(make, plain), "moved": evaluated(make, moved)}, resamples=499)
    f1, auc, rate = (row(found, "moved", name, "mean") for name in ("f1_non0", "auc_non0", "positive_rate"))
    assert f1.interval.leaves_zero_out
    assert f1.threshold_effect
    assert (auc.difference, auc.verdict, auc.threshold_effect) == (0.0, SAME, False)
    assert (rate.verdict, rate.threshold_effect) == ("higher", False)
    (sentence, *_) = compare_tables.conclusions(found)
    assert sentence.startswith("moved against base, mean: worse by f1_non0 (−")
    assert "a threshold effect" in sentence
    assert sentence.endswith("not distinguishable by auc_non0, corr") or "mae" in sentence


def test_correction_is_over_all_runs_of_one_metric_averages_and_conditions_apart(make):
    runs = {"base": evaluated(make, plain), "good": evaluated(make, better), "moved": evaluated(make, moved)}
    found = compare(runs, resamples=999)
    for family, size in (("conditions", 4), ("averages", 2)):
        rows = [each for each in found.rows if each.family == family and each.metric == "auc_non0"]
        assert len(rows) == size
        least = min(rows, key=lambda each: each.interval.p)
        assert least.corrected == pytest.approx(min(1, size * least.interval.p))
    said = " ".join(compare_tables.basis(found))
    assert "the 4 of conditions and the 2 of averages apart" in said
    assert "draw 29 of 30 videos whole and 2 of 3 seeds with replacement" in said
    assert "samples: 120; seeds: 1, 2, 3, paired; masks: seed 0" in said


def test_videos_are_drawn_where_ids_tell_them():
    assert units(["a$_$1", "b$_$1", "a$_$2"], None)[0].tolist() == [0, 1, 0]
    assert units(["a$_$1", "b$_$1", "a$_$2"], None)[1] == "video"
    assert units(["a$_$1", "b$_$1", "a$_$2"], "none")[0].tolist() == [0, 1, 2]
    assert units(["1", "2"], None)[1] == "none"
    assert units(["a$_$1", "a$_$2"], None)[1] == "none"  # one video: nothing to draw from
    with pytest.raises(UserError, match="ids such as 'b' do not tell the videos"):
        units(["a$_$1", "b"], "video")


def test_whole_videos_give_wider_intervals_where_their_samples_are_alike(make):
    def alike(seed, condition):
        return plain(seed, condition) + 3 * noise(9)[torch.arange(N) // 4].unsqueeze(1)

    runs = {"base": evaluated(make, plain), "alike": evaluated(make, alike)}
    width = {}
    for cluster in ("video", "none"):
        found = row(compare(runs, ["mae"], resamples=499, cluster=cluster), "alike", "mae", "mean").interval
        width[cluster] = found.high - found.low
    assert width["video"] > 1.1 * width["none"]


def test_conditions_count_their_own_samples(make):
    some = {"hard": torch.arange(N) < 40}
    found = compare(
        {"base": evaluated(make, plain, rows=some), "good": evaluated(make, better, rows=some)}, resamples=199
    )
    assert "120, of which count 120 in easy, 40 in hard" in " ".join(compare_tables.basis(found))
    assert compare_tables.plain(found)["samples_of"] == {"easy": 120, "hard": 40}


def test_bins_and_regression_of_one_score_are_compared(make):
    def binned(seed, condition):
        return torch.stack([-(plain(seed, condition)[:, 0] - k).abs() for k in range(-3, 4)], dim=1)

    bins = evaluated(make, binned, task={"kind": "bins", "classes": 7})
    found = compare({"base": evaluated(make, plain), "bins": bins}, ["auc_non0"], resamples=199)
    assert found.metrics == ("auc_non0",)
    assert abs(row(found, "bins", "auc_non0", "easy").difference) < 0.05


LABELS = {
    "classification": ({"kind": "classification", "classes": 3, "sentiment": True}, 3, ()),
    "binary_labels": ({"kind": "binary_labels", "names": ["happy", "sad"]}, 4, (2,)),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_compared_too(make, kind):
    task, width, columns = LABELS[kind]
    rng = np.random.default_rng(0)
    label = torch.from_numpy(rng.integers(0, 2 if columns else 3, size=(N, *columns)))

    def run(gain):
        guess = torch.nn.functional.one_hot(label, 2 if columns else 3).flatten(1).float()
        one = evaluated(
            make, lambda *_: gain * guess + torch.from_numpy(rng.normal(size=(N, width))).float(), task=task
        )
        scores = tuple(replace(each, target=label) for each in one.scores)
        return replace(one, scores=scores, train_target=label)

    found = compare({"base": run(0.3), "good": run(3.0)}, resamples=299)
    assert set(found.metrics) >= {*found.first.task.headline}
    assert {each.verdict for each in found.rows if each.metric.endswith(("f1", "auc"))} == {"better"}
    compare_display.show(found, Display())


def test_f1_never_stands_alone(make):
    base = evaluated(make, plain, threshold=0.5)
    expected = ("f1_non0", "f1_non0_tuned", "auc_non0", "positive_rate", "positive_rate_tuned")
    assert chosen_metrics([base], ["f1_non0"]) == expected
    assert chosen_metrics([base, evaluated(make, plain)], ["f1_non0"]) == ("f1_non0", "auc_non0", "positive_rate")
    with pytest.raises(UserError, match="--metric f2: not a metric of all these runs; they have mae, corr"):
        chosen_metrics([base], ["f2"])


def test_one_seed_says_that_the_spread_over_seeds_is_unknown(make):
    found = compare({"base": evaluated(make, plain, [1]), "good": evaluated(make, better, [1])}, resamples=199)
    assert [each for each in compare_tables.cautions(found) if each.startswith("one seed: how much seeds differ")]
    assert {each.d for each in found.rows} == {None}
    assert "draw 29 of 30 videos whole with replacement" in " ".join(compare_tables.basis(found))


def test_other_seeds_are_not_paired(make):
    runs = {"base": evaluated(make, plain, [1, 2, 3]), "good": evaluated(make, better, [3, 2, 1])}
    assert compare(runs, resamples=199).paired("good")
    found = compare(runs | {"good": evaluated(make, better, [4, 5])}, resamples=199)
    assert not found.paired("good")
    assert "good and base have other seeds" in " ".join(compare_tables.cautions(found))
    assert "2 seeds are few" in " ".join(compare_tables.cautions(found))
    assert "base: 1, 2, 3; good: 4, 5" in " ".join(compare_tables.basis(found))
    other = {"base": runs["base"], "good": replace(runs["good"], data_digest="other")}
    assert "good and base were trained on other files" in " ".join(
        compare_tables.cautions(compare(other, resamples=199))
    )


def test_an_undefined_metric_has_no_verdict(make):
    nan = evaluated(make, lambda seed, name: torch.full((N, 1), torch.nan))
    found = compare({"base": evaluated(make, plain), "diverged": nan}, resamples=199)
    assert {each.verdict for each in found.rows} == {"undefined"}
    assert {each.corrected for each in found.rows} == {None}
    compare_display.show(found, Display())


def test_too_few_resamples_for_so_many_comparisons_are_refused(make):
    base = evaluated(make, plain)
    check_resamples(base, 1, 99)
    with pytest.raises(UserError, match=r"too few for 2 comparisons under protocol two.*take 80 or more"):
        check_resamples(base, 1, 79)
    check_resamples(base, 1, 80)


def candidate(make, recipe=None, change=None, protocol="inter"):
    recipe = recipe or make.tiny()
    loaded = data.load(recipe)
    prepared = change(loaded) if change else loaded
    found = protocol_file.get(protocol, tuple(prepared.channels))
    return Candidate(Path(recipe.name), [SimpleNamespace(recipe=recipe)], prepared, "test", [found])


def refusal(make, *given, **changes):
    with pytest.raises(UserError) as found:
        comparability.check(candidate(make), candidate(make, *given, **changes))
    return str(found.value)


def edited(**parts):
    def change(loaded):
        return replace(loaded, splits={**loaded.splits, "test": replace(loaded.splits["test"], **parts)})

    return change


def test_the_same_questions_about_the_same_clips_are_comparable(make):
    comparability.check(candidate(make), candidate(make))
    comparability.check(candidate(make), candidate(make, make.tiny(task={"kind": "bins", "classes": 3})))
    comparability.check(candidate(make), candidate(make, make.tiny(task={"kind": "regression"})))


def test_what_differs_is_named(make):
    assert "its masks have seed 3, the baseline's 0; take --set evaluate.seed=0" in refusal(
        make, make.tiny(evaluate={"seed": 3})
    )
    fewer = {"name": "synthetic", "samples": [22, 9, 10], "length": [3, 6]}
    assert "its test split has 10 samples, the baseline's 11; 10 ids are in both" in refusal(
        make, make.tiny(data=fewer)
    )
    split = data.load(make.tiny()).splits["test"]
    assert "the targets of the test split differ" in refusal(
        make, change=edited(targets={"score": -split.targets["score"]})
    )
    louder = {
        **split.features,
        "audio": Sequences(
            split.features["audio"].values + 1, split.features["audio"].starts, split.features["audio"].lengths
        ),
    }
    assert "the features of 'audio' in the test split differ" in refusal(make, change=edited(features=louder))
    encoders = {"text": {"name": "pooled"}, "audio": {"name": "pooled"}}
    text = refusal(make, make.tiny(model={"dim": 8, "encoders": encoders, "fusion": {"name": "concat"}}))
    assert "protocol corrkd-inter has other conditions for its modalities (text, audio, text+audio)" in text
    labels = {"name": "synthetic", "samples": [22, 9, 11], "length": [3, 6]}
    assert "task.convention is sims, the baseline's mosi" in refusal(
        make, make.tiny(data=labels, task={"kind": "regression", "convention": "sims"})
    )


def test_the_command(make, mmsa, tmp_path):
    for name, rate in (("a", 1e-3), ("b", 1e-2)):
        experiment.train(
            make.tiny(name=name, seeds=[1, 2], train={"epochs": 1, "batch_size": 8, "lr": rate}),
            tmp_path / name,
            torch.device("cpu"),
            "test",
            Display(),
        )
    done = mmsa(
        "compare", "a", "b", "--protocol", "inter", "--json", "found.json", "--csv", "found.csv", "--resamples", 499
    )
    assert done.exit_code == 0, done.output
    assert "b against a: f1_non0, %" in done.output
    assert (
        "percentiles of 499 resamples (seed 0), which draw 10 of 11 samples and 1 of 2 seeds with replacement"
        in done.output
    )
    (found,) = json.loads((tmp_path / "found.json").read_text())
    assert (found["baseline"], found["units"], found["cluster"], found["mask_seed"]) == ("a", 11, "none", 0)
    with (tmp_path / "found.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found["comparisons"])
    assert {each["condition"] for each in rows} >= {"text", "avg6", "text+audio+vision"}
    assert [float(each["difference"]) for each in rows if each["difference"]] == [
        each["difference"] for each in found["comparisons"] if each["difference"] is not None
    ]
    turned = mmsa("compare", "a", "--against", "b", "--protocol", "inter", "--metric", "mae", "--resamples", 499)
    assert "a against b: mae" in turned.output
    again = mmsa("compare", "a", "b", "--json", "found.json")
    assert (again.exit_code, "nothing is overwritten" in again.output) == (2, True)
    alone = mmsa("compare", "a")
    assert (alone.exit_code, "there is nothing to compare a with" in alone.output) == (2, True)
    twice = mmsa("compare", "a", "b", "./b")
    assert (twice.exit_code, "named twice" in twice.output) == (2, True)
