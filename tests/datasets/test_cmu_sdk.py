"""Computational sequences: alignment by hand, segments, folds, and HDF5 that is refused."""

import json
import sys
import zlib
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from mmsa_core.datasets import alignment, csd
from mmsa_core.datasets.cmu_sdk import CmuSdk
from mmsa_core.datasets.csd import Frames
from mmsa_core.errors import UserError
from mmsa_core.testing.splits import splits

WORDS = [[0.0, 1.0], [1.0, 2.0], [2.0, 2.0], [2.0, 4.0], [5.0, 6.0]]  # the third lasts no time
SOUND = [[0.0, 0.5], [0.5, 1.000001], [1.0, 1.5], [1.9, 2.5], [3.5, 5.5]]


def entry(intervals, features):
    return np.array(intervals), np.array(features, dtype=np.float32)


def sequence(path, entries, root="root"):
    with h5py.File(path, "w") as file:
        data = file.create_group(f"{root}/data")
        for name, (intervals, features) in entries.items():
            data.create_dataset(f"{name}/intervals", data=intervals)
            data.create_dataset(f"{name}/features", data=features)
    return path


@pytest.fixture
def root(tmp_path):
    """Video v with five words, five stretches of sound and two segments; video w with words alone."""
    words = [[1, 1], [2, 2], [9, 9], [3, 3], [4, 4]]
    sequence(tmp_path / "text.csd", {"v": entry(WORDS, words), "w": entry([[0, 1]], [[7, 7]])})
    sequence(tmp_path / "audio.csd", {"v": entry(SOUND, [[10.0], [20], [40], [80], [160]])})
    labels = {"v": entry([[0, 2], [2, 6]], [[-1.0, 0, 2], [3, 1, 0]]), "w": entry([[0, 1]], [[0.5, 0, 0]])}
    sequence(tmp_path / "labels.csd", labels)
    (tmp_path / "folds.json").write_text(json.dumps({"train": ["v"], "test": ["w"]}))
    return tmp_path


def load(root, **options):
    """The corpus, with its splits as padded tensors."""
    settings = {"sequences": {"text": "text.csd", "audio": "audio.csd"}} | options
    corpus = CmuSdk(CmuSdk.Config(name="cmu-sdk", path=root, **settings)).load()
    return SimpleNamespace(splits=splits(corpus), notes=corpus.notes, names=corpus.names, digest=corpus.digest)


def frames(split, modality, row):
    return split.features[modality][row][split.observed[modality][row]].flatten().tolist()


def test_overlap_is_more_than_the_tolerance():
    found = Frames(
        np.array([[0, 1], [1, 2], [0.5, 1 + 5e-6], [2, 3], [0.9, 2.1], [1.5, 1.5], [1.9, 1.2]]), np.zeros((7, 1))
    )
    assert alignment.overlapping(found, 1.0, 2.0).tolist() == [1, 4]  # 5e-6 seconds, a moment and a reversed one do not
    assert alignment.overlapping(found, 1.0, 2.00002).tolist() == [1, 3, 4]


def test_frames_are_collapsed_to_the_pivots():
    sound = Frames(np.array(SOUND), np.array([[10.0], [20], [40], [80], [160]]))
    words = alignment.long_enough(Frames(np.array(WORDS), np.zeros((5, 2))))
    assert words.intervals.tolist() == [[0, 1], [1, 2], [2, 4], [5, 6]]
    values, found = alignment.to_pivot(sound, words, "mean")
    assert values[:, 0].tolist() == [15, 60, 120, 160]  # (10+20)/2, (40+80)/2, (80+160)/2, 160
    assert found.all()
    expected = {
        "sum": [30, 120, 240, 160],
        "max": [20, 80, 160, 160],
        "min": [10, 40, 80, 160],
        "first": [10, 40, 80, 160],
        "last": [20, 80, 160, 160],
    }
    for how, wanted in expected.items():
        assert alignment.to_pivot(sound, words, how)[0][:, 0].tolist() == wanted
    later = Frames(np.array([[10.0, 11.0]]), np.ones((1, 1)))
    assert alignment.to_pivot(later, words, "mean")[1].tolist() == [False] * 4


def test_long_frames_before_short_ones_are_found():
    found = Frames(np.array([[0, 9], [1, 2], [3, 4.0]]), np.array([[1.0], [2], [4]]))
    pivot = Frames(np.array([[5, 6], [3, 3.5], [1, 4.0]]), np.zeros((3, 1)))
    assert alignment.to_pivot(found, pivot, "sum")[0][:, 0].tolist() == [1, 5, 7]


def test_each_modality_keeps_its_frames(root):
    corpus = load(root)
    train = corpus.splits["train"]
    assert train.ids == ("v[0]", "v[1]")
    assert frames(train, "text", 0) == [1, 1, 2, 2]
    assert frames(train, "text", 1) == [3, 3, 4, 4]
    assert frames(train, "audio", 0) == [10, 20, 40, 80]
    assert frames(train, "audio", 1) == [80, 160]  # the frame from 1.9 to 2.5 belongs to both segments
    assert train.targets["score"].tolist() == [-1, 3]
    assert corpus.splits["test"].ids == ("w[0]",)
    assert "test: audio is missing in all 1 rows" in corpus.notes


def test_aligned_to_a_pivot(root):
    train = load(root, pivot="text").splits["train"]
    assert frames(train, "text", 1) == [3, 3, 4, 4]
    assert frames(train, "audio", 0) == [15, 60]
    assert frames(train, "audio", 1) == [120, 160]
    assert frames(load(root, pivot="audio", collapse="last").splits["train"], "text", 0) == [1, 1, 1, 1, 2, 2, 3, 3]
    with pytest.raises(UserError, match=r"data.pivot: 'words' is none of data.sequences: text, audio"):
        load(root, pivot="words")


def test_a_pivot_frame_without_the_other_is_not_observed(root):
    sequence(root / "audio.csd", {"v": entry([[0.2, 0.4], [2.1, 2.2]], [[5.0], [6]])})
    found = load(root, pivot="text").splits["train"]
    assert found.observed["text"].tolist() == [[True, True], [True, True]]
    assert found.observed["audio"].tolist() == [[True], [True]]  # no row has the second
    assert frames(found, "audio", 1) == [6]


def test_incomplete_samples_may_be_dropped(root):
    found = load(root, incomplete="drop")
    assert [len(split) for split in found.splits.values()] == [2, 0]
    assert "1 samples without a frame of some modality are left out (data.incomplete: drop)" in found.notes


def test_entries_of_segments_are_joined_and_sorted(root):
    parts = {"v[1]": entry([[2.0, 4.0], [1.0, 2.0]], [[3, 3], [2, 2]]), "v[0]": entry([0.0, 1.0], [1, 1])}
    sequence(root / "text.csd", parts)
    train = load(root).splits["train"]
    assert frames(train, "text", 0) == [1, 1, 2, 2]
    assert frames(train, "text", 1) == [3, 3]
    sequence(root / "text.csd", {"v[0]": entry([[0, 1]], [[1, 1]]), "v[1]": entry([[1, 2]], [[1]])})
    with pytest.raises(UserError, match="the entries of video 'v' have features of different widths"):
        load(root)


def test_segments_keep_the_numbers_of_the_file(root):
    sequence(root / "labels.csd", {"v": entry([[2, 6], [1, 1], [0, 2]], [[1.0], [2], [3]])})
    found = load(root).splits["train"]
    assert found.ids == ("v[0]", "v[2]")
    assert found.targets["score"].tolist() == [1, 3]


def test_targets_and_emotions_by_column(root):
    found = load(root, targets={"score/text": 2}, binary={"sad": 2, "happy": 1})
    assert found.splits["train"].targets["score/text"].tolist() == [2, 0]
    assert found.splits["train"].targets["labels"].tolist() == [[1, 0], [0, 1]]
    assert found.names == {"labels": ("sad", "happy")}
    with pytest.raises(UserError, match=r"data.targets.score: column 3, but the labels in .*labels.csd have 3"):
        load(root, targets={"score": 3})


def test_without_labels_and_folds_a_video_is_a_sample(root):
    (root / "labels.csd").unlink()
    (root / "folds.json").unlink()
    with pytest.raises(UserError, match=r"data.folds: .*folds.json cannot be read \(No such file"):
        load(root)
    for found in (load(root, absent="missing"), load(root, labels=None, folds=None)):
        assert found.splits["test"].ids == ("v", "w")
        assert frames(found.splits["test"], "text", 0) == [1, 1, 2, 2, 3, 3, 4, 4]  # not the word that lasts no time
        assert not found.splits["test"].targets


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("folds.json", '{"v": "train", "w": "dev"}', {"train": 2, "valid": 1}),
        ("folds.csv", "video,split\nv,test\nw,train\n", {"test": 2, "train": 1}),
        ("folds.json", '{"train": ["w", "unknown"]}', {"train": 1}),
    ],
)
def test_folds(root, name, content, expected):
    (root / name).write_text(content)
    found = load(root, folds=name)
    assert {split: len(part) for split, part in found.splits.items()} == expected
    if "unknown" in content:
        assert "2 of 3 samples are of videos that folds.json does not name; left out" in found.notes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"train": ["v"], "test": ["v"]}',
            "video 'v' is in train and in test; a video in two splits gives its labels",
        ),
        ('{"train": "v", "test": ["w"]}', "not a file of folds"),
        ('{"train": 5}', "not a file of folds"),
        ('{"train": ["v"], "version": null}', "not a file of folds"),
        ('{"train": [["v"]]}', "a split that is no list of names"),
        ('{"train": [], "test": []}', "names no video"),
        ("[" * 5000, "not a file of folds"),
        ('["v"]', r"not a file of folds \(a list\)"),
    ],
)
def test_folds_that_are_refused(root, content, message):
    (root / "folds.json").write_text(content)
    with pytest.raises(UserError, match=message):
        load(root)


def test_paths_that_lead_out(root):
    for name in ("../text.csd", "/text.csd"):
        with pytest.raises(UserError, match=r"data.sequences.text: the path .* leads out of"):
            load(root, sequences={"text": name})


def features(path):
    """A file with one entry whose features the test makes itself."""
    file = h5py.File(path, "w")
    file.create_dataset("root/data/v/intervals", data=[[0.0, 1.0]])
    return file, file["root/data/v"]


def external_link(group, folder):
    sequence(folder / "secret.csd", {"v": entry([[0, 1]], [[42]])})
    group["features"] = h5py.ExternalLink("secret.csd", "/root/data/v/features")


def soft_link(group, folder):
    group["features"] = h5py.SoftLink("/root/data/v/intervals")


def external_storage(group, folder):
    (folder / "secret").write_bytes(b"1234")
    group.create_dataset("features", (1, 1), "f4", external=[(str(folder / "secret"), 0, 4)])


def virtual(group, folder):
    sequence(folder / "secret.csd", {"v": entry([[0, 1]], [[42]])})
    layout = h5py.VirtualLayout((1, 1), "f4")
    layout[:] = h5py.VirtualSource(folder / "secret.csd", "root/data/v/features", shape=(1, 1))
    group.create_virtual_dataset("features", layout)


def bomb(group, folder):
    group.create_dataset("features", (2**40, 2**20), "f8", chunks=(1, 1024), compression="gzip", fillvalue=1)


def big_chunk(group, folder):
    group.create_dataset("features", (1, 1), "f4", chunks=(2**14, 2**14), maxshape=(None, None), compression="gzip")


def deflated(group, folder, content, size=1 << 20):
    chunked = {"chunks": (1, size), "maxshape": (None, None), "compression": "gzip"}
    dataset = group.create_dataset("features", (1, size), "f4", **chunked)
    dataset.id.write_direct_chunk((0, 0), content)


def chunk_bomb(group, folder):
    deflated(group, folder, zlib.compress(bytes(300 << 20)))


def fat_chunk(group, folder):
    deflated(group, folder, bytes(1 << 20), size=1 << 10)


def packed_twice(group, folder):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1, 1))
    plist.set_deflate(9)
    plist.set_deflate(9)
    space = h5py.h5s.create_simple((1, 1))
    h5py.h5d.create(group.id, b"features", h5py.h5t.IEEE_F32LE, space, plist)


def words(group, folder):
    group.create_dataset("features", data=np.array([[b"hello"]]))


def objects(group, folder):
    group.create_dataset("features", data=["hello"], dtype=h5py.string_dtype())


def compound(group, folder):
    group.create_dataset("features", data=np.zeros((1, 1), dtype=[("a", "f4")]))


def no_dataset(group, folder):
    group.create_group("features")


def wrong_rows(group, folder):
    group.create_dataset("features", data=np.zeros((2, 1)))


def three_axes(group, folder):
    group.create_dataset("features", data=np.zeros((1, 1, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (external_link, "'features' in '/root/data/v' is a ExternalLink, which is not followed"),
        (soft_link, "is a SoftLink, which is not followed"),
        (external_storage, "entry 'v', features: stored in another file, which is not opened"),
        (virtual, "entry 'v', features: stored in another file, which is not opened"),
        (bomb, r"features: claims shape \(1099511627776, 1048576\)"),
        (big_chunk, r"\(chunks \(16384, 16384\)\), which makes more than 100 times the file's size and is refused"),
        (chunk_bomb, "features: a chunk unpacks to more than its 4194304 bytes and is refused"),
        (fat_chunk, "features: a chunk of 4096 bytes is stored in 1048576; write the file again"),
        (packed_twice, r"features: packed by filters \[1, 1\], twice or with code from elsewhere"),
        (words, r"features: \|S5 of shape \(1, 1\); expected numbers. Words and phonemes are no features"),
        (objects, "features: object of shape"),
        (compound, "expected numbers"),
        (no_dataset, "'/root/data/v/features' is a Group, expected a Dataset"),
        (wrong_rows, r"intervals of shape \(1, 2\) and features of shape \(2, 1\)"),
        (three_axes, r"features of shape \(1, 1, 1\); expected"),
    ],
)
def test_hdf5_that_is_refused(tmp_path, make, message):
    file, group = features(tmp_path / "x.csd")
    with file:
        make(group, tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        csd.read(tmp_path / "x.csd")
    assert "x.csd" in str(caught.value)


def test_large_packed_chunks_are_read(tmp_path):
    noise = np.random.default_rng(0).random((1, 1 << 17), dtype=np.float32)
    for options in ({}, {"shuffle": True}, {"fletcher32": True}):
        file, group = features(tmp_path / "x.csd")
        with file:
            group.create_dataset("features", data=noise, chunks=noise.shape, compression="gzip", **options)
            assert group["features"].id.get_storage_size() > csd.PACKED
        found, _ = csd.read(tmp_path / "x.csd")
        assert np.array_equal(found["v"].features, noise)


def test_many_datasets_together_are_a_bomb_too(tmp_path):
    with h5py.File(tmp_path / "x.csd", "w") as file:
        for name in range(40):
            file.create_dataset(f"root/data/v{name}/intervals", data=[[0.0, 1.0]])
            file.create_dataset(f"root/data/v{name}/features", (1 << 12, 1 << 10), "f8", chunks=(64, 64), fillvalue=1)
    with pytest.raises(UserError, match="more than 100 times the file's size"):
        csd.read(tmp_path / "x.csd")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a whole HDF5 file"), (b"<html>", "it has 6 bytes. Download or copy it again")],
)
def test_what_is_no_hdf5(root, content, message):
    (root / "audio.csd").write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(root)


def test_other_layouts_and_times(root):
    with h5py.File(root / "audio.csd", "w") as file:
        file.create_group("a/data")
        file.create_group("b/data")
    with pytest.raises(UserError, match="expected one root group, found a, b"):
        load(root)
    with h5py.File(root / "audio.csd", "w") as file:
        file.create_group("a/values")
    with pytest.raises(UserError, match="no 'data' in '/a'; expected root / data / entry"):
        load(root)
    sequence(root / "audio.csd", {"v": entry([[0, np.nan]], [[1]])})
    with pytest.raises(UserError, match=r"entry 'v': interval 0 is \[0.0, nan\]; expected start and end in seconds"):
        load(root)


def test_frames_without_a_channel_are_refused(root):
    sequence(root / "audio.csd", {"v": (np.array([[0, 1.0]]), np.zeros((1, 0), dtype=np.float32))})
    with pytest.raises(UserError, match=r"audio of sample 'v\[0\]' has 1 frames without a channel"):
        load(root)


def test_float16_and_whole_numbers_are_features(root):
    sequence(root / "audio.csd", {"v": (np.array([[0, 1.0]]), np.array([[3]], dtype=np.int16))})
    assert torch.equal(load(root).splits["train"].features["audio"][0, :1], torch.tensor([[3.0]]))


def test_without_h5py(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"text.csd: .csd files need h5py .*: pip install 'mmsa-core\[csd\]'"):
        load(root, labels=None)
