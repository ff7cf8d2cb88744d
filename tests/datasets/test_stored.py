"""Our own format: what goes in comes out to the bit, and a damaged or foreign file is refused."""

import json
import os
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from mmsa_core.corpora import sequences
from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.datasets import layout, storing
from mmsa_core.datasets.layout import Source
from mmsa_core.datasets.stored import StoredCorpus
from mmsa_core.errors import UserError
from mmsa_core.testing.splits import splits

SOURCE = Source(file="made.pkl", reader="made", settings={"kept": 1}, sha256="0" * 64)
FIXTURE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)


def split(seed, rows, kind=torch.float32):
    """Holes, padding at the front, samples without a modality, one that nobody has, and one of a single frame."""
    source = torch.Generator().manual_seed(seed)
    x = {m: torch.randn(rows, time, 2, generator=source).to(kind) for m, time in (("text", 5), ("one", 1))}
    observed = {m: torch.rand(v.shape[:2], generator=source) < 0.6 for m, v in x.items()}
    made = Split.padded(
        tuple(f"vidéo{n}$_$0" if n % 2 else f"v{n}" for n in range(rows)),
        x,
        observed,
        {"score": torch.randn(rows, generator=source), "labels": torch.ones(rows, 2).long()},
    )
    return replace(made, features={**made.features, "nobody": Sequences.none(rows, 3)})


def corpus(seed=0, kind=torch.float32):
    made = {
        name: split(seed + n, rows, kind) for n, (name, rows) in enumerate({"train": 4, "valid": 1, "new": 2}.items())
    }
    return Corpus(made, "x", ("train: a note",), {"label": ("No", "Yes")})


def load(folder, verify=True):
    return StoredCorpus(StoredCorpus.Config(path=folder, verify=verify)).load()


def same(one, other):
    assert (one.notes, dict(one.names)) == (other.notes, dict(other.names))
    here, there = splits(one), splits(other)
    assert list(here) == list(there)
    for name, a in here.items():
        b = there[name]
        assert a.ids == b.ids
        assert list(a.features) == list(b.features)
        assert list(a.targets) == list(b.targets)
        for m in a.features:
            bits = (x.features[m].view(torch.int32) for x in (a, b))  # NaN are equal too
            assert torch.equal(*bits), m
            assert torch.equal(a.observed[m], b.observed[m])
            rows = torch.arange(len(a)).flip(0)
            batches = (x.splits[name].features[m].batch(rows) for x in (one, other))
            assert all(torch.equal(x, y) for x, y in zip(*batches, strict=True))
            assert torch.equal(one.splits[name].features[m].lengths, other.splits[name].features[m].lengths)
        assert all(torch.equal(t, b.targets[n]) for n, t in a.targets.items())


@pytest.fixture
def folder(tmp_path):
    storing.write(corpus(), tmp_path / "made", SOURCE)
    return tmp_path / "made"


@FIXTURE
@given(seed=st.integers(0, 2**30), kind=st.sampled_from([torch.float16, torch.float32]), odd=st.booleans())
def test_round_trip(tmp_path_factory, seed, kind, odd):
    made = corpus(seed, kind)
    if odd:
        text = made.splits["train"].features["text"].values
        text[:, 0] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-7, 65504.0] * 4).to(kind)
    out = tmp_path_factory.mktemp("made") / "out"
    storing.write(made, out, SOURCE)
    found = load(out)
    same(found, made)
    narrow = found.splits["train"].features["text"].values.dtype
    assert narrow is kind or odd or not found.splits["train"].features["text"].present().any()
    assert found.splits["train"].features["nobody"].channels == 3


@pytest.mark.parametrize("chunk", [1, 2**18])
def test_equal_corpora_become_equal_bytes(tmp_path, monkeypatch, chunk):
    storing.write(corpus(), tmp_path / "one", SOURCE)
    monkeypatch.setattr(sequences, "CHUNK", chunk)
    storing.write(corpus(), tmp_path / "two", SOURCE)
    names = sorted(os.listdir(tmp_path / "one"))
    assert names == ["new.safetensors", "train.safetensors", "valid.safetensors"]
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)
    assert load(tmp_path / "one").digest == load(tmp_path / "two").digest
    storing.write(corpus(seed=1), tmp_path / "other", SOURCE)
    assert load(tmp_path / "one").digest != load(tmp_path / "other").digest


def test_opening_reads_no_frame_into_memory_of_its_own(folder):
    (text, again) = (load(folder, verify=False).splits["train"].features["text"].values for _ in range(2))
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    inside = [line for line in maps.read_text().splitlines() if "train.safetensors" in line]
    spans = [[int(x, 16) for x in line.split(" ")[0].split("-")] for line in inside]
    assert all(any(a <= x.data_ptr() < b for a, b in spans) for x in (text, again))


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("no space left")])
def test_an_interrupted_conversion_leaves_nothing(tmp_path, monkeypatch, error):
    calls = []

    def failing(file, part):
        calls.append(part)
        if len(calls) > 8:
            raise error
        return written(file, part)

    written = storing._written
    monkeypatch.setattr(storing, "_written", failing)
    with pytest.raises((KeyboardInterrupt, OSError)):
        storing.write(corpus(), tmp_path / "out", SOURCE)
    assert os.listdir(tmp_path) == []


def test_nothing_is_overwritten(tmp_path, folder):
    before = (folder / "train.safetensors").read_bytes()
    with pytest.raises(UserError, match="exists, and nothing is overwritten"):
        storing.write(corpus(seed=1), folder, SOURCE)
    assert (folder / "train.safetensors").read_bytes() == before
    with pytest.raises(UserError, match=r"there is no folder .*nowhere; make it first"):
        storing.write(corpus(), tmp_path / "nowhere" / "out", SOURCE)
    with pytest.raises(UserError, match=r"split '\.\./up' cannot be a file's name"):
        storing.write(Corpus({"../up": split(0, 1)}, "x"), tmp_path / "new", SOURCE)
    assert not (tmp_path / "new").exists()


@settings(FIXTURE, max_examples=200)
@given(data=st.data())
def test_damaged_files_are_refused(folder, data):
    """Every byte counts with `verify`; without it, every one but those of the frames."""
    path = folder / "train.safetensors"
    whole, before = path.read_bytes(), load(folder)
    content = bytearray(whole)
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        at = data.draw(st.one_of(st.integers(0, 40), st.integers(0, len(content) - 1)))
        content[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    path.write_bytes(content)
    with suppress(UserError):
        same(load(folder), before)
    try:
        found = load(folder, verify=False).splits["train"]
        assert found.ids == before.splits["train"].ids
        assert torch.equal(found.targets["score"], before.splits["train"].targets["score"])
    except UserError:
        pass
    finally:
        path.write_bytes(whole)


def rewritten(path, tensors=None, **changes):
    """A file whose description says something else, and fits its own SHA-256."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["mmsa"])
        there = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    for name, x in (tensors or {}).items():
        there[name] = x
        digest = sha256(x.numpy().tobytes()).hexdigest()
        kind = {torch.int64: "I64", torch.uint8: "U8", torch.float32: "F32"}[x.dtype]
        about["tensors"][name] = {"dtype": kind, "shape": list(x.shape), "sha256": digest}
    text = json.dumps(about | changes)
    path.write_bytes(save(there, metadata={"mmsa": text, "sha256": sha256(text.encode()).hexdigest()}))


@pytest.mark.parametrize(
    ("tensors", "changes", "message"),
    [
        ({}, {"version": 2}, "has version 2 of the format mmsa-data, and this mmsa reads version 1"),
        ({}, {"format": "other"}, "version None"),
        ({}, {"samples": 2**60}, "'.*' has type .* and shape .*; expected"),
        ({}, {"samples": -1}, "defect at 'samples'"),
        ({}, {"split": "test"}, "holds the split 'test'"),
        ({}, {"targets": ["score"]}, "tensors and description differ at targets.labels"),
        ({}, {"more": 1}, "defect at 'more'"),
        ({"features.text.lengths": torch.tensor([2**62, 2**62, 2**62, 2**62])}, {}, "do not add up"),
        ({"features.text.lengths": torch.tensor([-1, 5, 5, 5])}, {}, "do not add up"),
        ({"features.text.seen": torch.full((15,), 7, dtype=torch.uint8)}, {}, "'features.text.seen' has|0 and 1"),
        ({"ids.ends": torch.tensor([5, 3, 9, 27])}, {}, "ends do not fit"),
        ({"ids.ends": torch.tensor([1, 2, 3, 2**62])}, {}, "ends do not fit"),
        ({"ids": torch.full((26,), 255, dtype=torch.uint8)}, {}, "not UTF-8|ends do not fit"),
        (
            {"targets.score": torch.ones(4, 2)},
            {},
            r"'targets.score' has type F32 and shape \[4, 2\]; expected F32, \[4\]",
        ),
        ({"targets.labels": torch.ones(4, 2)}, {}, "'targets.labels' has type F32"),
        ({"features.one.values": torch.ones(7)}, {}, "'features.one.values' has"),
    ],
)
def test_files_that_lie(folder, tensors, changes, message):
    rewritten(folder / "train.safetensors", tensors, **changes)
    with pytest.raises(UserError, match=message):
        load(folder, verify=False)


def test_an_absurd_header_is_refused_before_memory_is_taken(folder):
    path = folder / "train.safetensors"
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}}).encode()
    for content in (len(header).to_bytes(8, "little") + header, (2**60).to_bytes(8, "little") + header, b"", b"{}"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a whole safetensors file"):
            load(folder)
    header = json.dumps(
        {"__metadata__": {"mmsa": "[" * 100_000, "sha256": sha256(b"[" * 100_000).hexdigest()}}
    ).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(UserError, match="its description is not ours"):
        load(folder)
    path.write_bytes(save({"x": torch.ones(2)}))
    with pytest.raises(UserError, match="not a file that `mmsa data convert` wrote"):
        load(folder)


def test_what_is_no_folder_of_ours(tmp_path, folder):
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is no folder"):
        load(folder / "train.safetensors")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no \*.safetensors"):
        load(tmp_path / "empty")


def test_links_are_not_followed(tmp_path, folder):
    moved = tmp_path / "elsewhere.safetensors"
    (folder / "valid.safetensors").rename(moved)
    (folder / "valid.safetensors").symlink_to(moved)
    with pytest.raises(UserError, match="a link or something else"):
        load(folder)
    (folder / "valid.safetensors").unlink()
    os.mkfifo(folder / "valid.safetensors")
    with pytest.raises(UserError, match="a link or something else"):
        load(folder)


def test_files_of_two_conversions_do_not_mix(tmp_path, folder):
    storing.write(corpus(), tmp_path / "other", SOURCE.model_copy(update={"sha256": "1" * 64}))
    (tmp_path / "other" / "valid.safetensors").replace(folder / "valid.safetensors")
    with pytest.raises(UserError, match="are of different conversions"):
        load(folder)


def test_the_description_names_the_tensors(folder):
    from safetensors import safe_open

    with safe_open(folder / "train.safetensors", framework="pt") as file:
        about, _ = layout.read(file.metadata(), "x")
        assert set(file.keys()) == layout.expected(about) == set(about.tensors)
    assert about.source == SOURCE
    assert [(m.name, m.channels, m.finite) for m in about.modalities] == [
        ("text", 2, True),
        ("one", 2, True),
        ("nobody", 3, True),
    ]
