"""A folder of one's own: tables, feature files, what is missing, and what is refused."""

import io
import os
import zipfile
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

from mmsa_core.datasets.folder import Folder
from mmsa_core.errors import UserError
from mmsa_core.testing.splits import splits

TABLE = """id,split,score,label,text,audio
a,train,-1.5,0,text/a.npy,audio/a.npz
b,train,0.2,1,text/b.npy,
c,dev,3,2,,audio/c.npz
"""
MODALITIES = {"text": "text", "audio": "audio"}


def grid(frames, channels, start=0):
    return np.arange(start, start + frames * channels, dtype=np.float32).reshape(frames, channels)


@pytest.fixture
def root(tmp_path):
    """Two modalities of three samples; the second has no audio, the third no text."""
    folder = tmp_path / "mine"
    for name in ("text", "audio"):
        (folder / name).mkdir(parents=True)
    np.save(folder / "text" / "a.npy", grid(2, 3))
    np.save(folder / "text" / "b.npy", grid(1, 3, 10).astype(np.float64))
    np.savez(folder / "audio" / "a.npz", audio=grid(3, 2), other=grid(1, 1))
    np.savez_compressed(folder / "audio" / "c.npz", anything=np.asfortranarray(grid(1, 2, 5)))
    (folder / "samples.csv").write_text(TABLE)
    return folder


def load(root, **options):
    """The corpus, with its splits as padded tensors."""
    corpus = Folder(Folder.Config(name="folder", path=root, **({"modalities": MODALITIES} | options))).load()
    return SimpleNamespace(splits=splits(corpus), notes=corpus.notes, names=corpus.names, digest=corpus.digest)


def test_a_small_folder(root):
    corpus = load(root)
    assert list(corpus.splits) == ["train", "valid"]
    train, valid = corpus.splits["train"], corpus.splits["valid"]
    assert (train.ids, valid.ids) == (("a", "b"), ("c",))
    assert train.features["text"][0, :2].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert train.features["text"][1, :1].tolist() == [[10, 11, 12]]
    assert train.observed["text"].tolist() == [[True, True], [True, False]]
    assert train.observed["audio"].any(dim=1).tolist() == [True, False]
    assert valid.observed["text"].any(dim=1).tolist() == [False]
    assert valid.features["audio"][0, :1].tolist() == [[5, 6]]
    torch.testing.assert_close(train.targets["score"], torch.tensor([-1.5, 0.2]))
    assert train.targets["label"].tolist() == [0, 1]
    assert corpus.notes == ("train: audio is missing in 1 of 2 rows", "valid: text is missing in all 1 rows")
    assert corpus.digest != load(root, modalities={"text": "text"}).digest


def test_columns_are_mapped_by_name(root):
    table = "Clip;x,Fold,mood,happy,sad,T,A\nk,train,good,1,0,text/a.npy,audio/a.npz\nl,train,bad,0,1,text/b.npy,\n"
    (root / "mine.csv").write_text("\ufeff" + table)
    options = {"table": "mine.csv", "id": "Clip;x", "split": "Fold", "modalities": {"words": "T"}}
    corpus = load(
        root, **options, labels={"label": "mood"}, classes=["bad", "good"], binary={"sad": "sad", "happy": "happy"}
    )
    found = corpus.splits["train"]
    assert found.targets["label"].tolist() == [1, 0]
    assert found.targets["labels"].tolist() == [[0, 1], [1, 0]]
    assert corpus.names == {"label": ("bad", "good"), "labels": ("sad", "happy")}
    assert list(found.features) == ["words"]
    with pytest.raises(UserError, match=r"mine.csv, line 2, column 'mood': expected a class number"):
        load(root, **options, labels={"label": "mood"})
    with pytest.raises(UserError, match=r"mine.csv, line 2, column 'T': expected 0 or 1, found 'text/a.npy'"):
        load(root, **options, binary={"sad": "T"})
    with pytest.raises(UserError, match=r"mine.csv, line 3, column 'mood': class 'bad', which data.classes does not"):
        load(root, **options, labels={"label": "mood"}, classes=["good"])


def test_a_safetensors_of_all_samples(root):
    save_file({"a": grid(2, 4), "c": grid(3, 4)}, root / "audio.safetensors")
    found = load(root, modalities={"audio": "audio.safetensors"})
    assert found.splits["train"].observed["audio"].tolist() == [[True, True], [False, False]]
    assert found.splits["valid"].features["audio"][0].tolist() == grid(3, 4).tolist()
    save_file({"x": grid(2, 4)}, root / "audio.safetensors")
    with pytest.raises(UserError, match=r"none of its 1 keys is an id of the table; keys begin with x"):
        load(root, modalities={"audio": "audio.safetensors"})
    save_file({"a": grid(2, 4)[0]}, root / "audio.safetensors")
    with pytest.raises(UserError, match=r"key 'a': torch.float32 of shape \(4,\)"):
        load(root, modalities={"audio": "audio.safetensors"})


def test_a_parquet_table_reads_as_the_csv_does(root):
    columns = {
        "id": ["a", "b", "c"],
        "split": ["train", "train", "dev"],
        "score": [-1.5, 0.2, 3.0],
        "text": ["text/a.npy", "text/b.npy", None],
    }
    pq.write_table(pa.table(columns), root / "samples.parquet")
    found = load(root, table="samples.parquet", modalities={"text": "text"})
    wanted = load(root, modalities={"text": "text"})
    for name in ("train", "valid"):
        assert torch.equal(found.splits[name].features["text"], wanted.splits[name].features["text"])
        assert torch.equal(found.splits[name].targets["score"], wanted.splits[name].targets["score"])
    (root / "bad.parquet").write_bytes((root / "samples.parquet").read_bytes()[:-20])
    with pytest.raises(UserError, match="not a whole Parquet file"):
        load(root, table="bad.parquet")


def test_a_parquet_table_that_claims_too_many_cells(root):
    pq.write_table(pa.table({"id": pa.array(["a"] * 2_000_000).dictionary_encode()}), root / "many.parquet")
    with pytest.raises(UserError, match="claims far more content than its"):
        load(root, table="many.parquet")


def test_a_parquet_table_that_unpacks_to_too_much_text(root):
    text = pa.array(["x" * 100_000] * 1000).dictionary_encode()
    pq.write_table(pa.table({"id": text}), root / "long.parquet", compression="zstd")
    assert (root / "long.parquet").stat().st_size < 400_000
    with pytest.raises(UserError, match="bytes unpack to too much text, which is refused"):
        load(root, table="long.parquet")


def test_a_new_folder_may_lack_modalities_and_labels(root):
    (root / "samples.csv").write_text("id,text\na,text/a.npy\n")
    with pytest.raises(UserError, match=r"no column 'audio', which data.modalities names; columns: id, text"):
        load(root)
    (root / "empty.csv").write_text("id,score,sad,text\na,,,text/a.npy\n")
    unlabelled = load(root, table="empty.csv", absent="missing", labels={"score": "score"}, binary={"sad": "sad"})
    assert unlabelled.splits["test"].targets == {}
    found = load(root, absent="missing", labels={"score": "score"}, binary={"sad": "sad"})
    assert list(found.splits["test"].features) == ["text"]
    assert found.splits["test"].targets == {}
    assert "no sample has audio" in found.notes


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            TABLE.replace("text/a.npy", "../x.npy"),
            r"samples.csv, line 2, column 'text': the path '../x.npy' leads out of",
        ),
        (TABLE.replace("text/a.npy", "/etc/x.npy"), "line 2, column 'text': the path '/etc/x.npy' leads out of"),
        (TABLE.replace("text/a.npy", "C:\\\\x.npy"), "leads out of"),
        (
            TABLE.replace("text/a.npy", "text/none.npy"),
            r"line 2, column 'text': .*none.npy cannot be read \(No such file",
        ),
        (TABLE.replace("text/a.npy", "samples.csv"), "expected the path of a .npy or .npz file, found 'samples.csv'"),
        (
            TABLE.replace("text/b.npy", "audio/a.npz"),
            r"line 3, column 'text': .*2 arrays \(audio, other\) and none .*'text'",
        ),
        (
            TABLE.replace("text/b.npy", "audio/c.npz"),
            r"text of sample 'b' has 2 channels, but 3 in sample 'a' of train",
        ),
        (TABLE.replace("-1.5", "good"), "samples.csv, line 2, column 'score': expected a number, found 'good'"),
        (TABLE.replace("0.2,1,", "0.2,1.5,"), "line 3, column 'label': expected a class number from 0, or names"),
        (TABLE.replace("0.2,1,", "0.2,,"), "line 3, column 'label': expected a class number from 0, .* found ''"),
        (TABLE.replace("0.2,1,", "inf,1,"), "line 3, column 'score': expected a number, found 'inf'"),
        (TABLE.replace("b,train", "b,"), "samples.csv, line 3, column 'split': empty"),
        (TABLE + "d,train\n", "samples.csv, line 5: 2 cells, but the first line names 6 columns"),
        (TABLE.replace("id,split", "id,id"), "must name every column once; found id, id"),
        (TABLE.replace("id,", "name,"), "no column 'id', which data.id names; columns: name"),
        ("", "must name every column once; found nothing"),
        ('id,split,text\n"a,train', "not a CSV table"),
    ],
)
def test_tables_that_are_refused(root, table, message):
    (root / "samples.csv").write_text(table)
    with pytest.raises(UserError, match=message):
        load(root)


def test_a_table_in_another_encoding(root):
    (root / "samples.csv").write_bytes(TABLE.replace("a,train", "é,train").encode("latin-1"))
    with pytest.raises(UserError, match="not a text file in UTF-8"):
        load(root)


def test_links_and_devices_are_not_followed(root, tmp_path):
    np.save(tmp_path / "secret.npy", grid(2, 3))
    (root / "text" / "a.npy").unlink()
    (root / "text" / "a.npy").symlink_to(tmp_path / "secret.npy")
    with pytest.raises(UserError, match=r"line 2, column 'text': .* is a link that leads out of"):
        load(root)
    (root / "text" / "a.npy").unlink()
    os.mkfifo(root / "text" / "a.npy")
    with pytest.raises(UserError, match="is no regular file"):
        load(root)
    (root / "text" / "a.npy").unlink()
    (root / "text" / "a.npy").symlink_to("b.npy")  # within the folder
    assert load(root).splits["train"].observed["text"][0].any()
    with pytest.raises(UserError, match=r"is a file; expected a folder with a table 'samples.csv'"):
        load(root / "samples.csv")


def npy(shape, descr="<f4", data=b"", version=(1, 0)):
    """A .npy whose header claims a shape."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY" + bytes(version) + len(text).to_bytes(2, "little") + text.encode() + data


class Attack:
    def __reduce__(self):
        return (os.system, ("echo executed",))


def pickled():
    file = io.BytesIO()
    np.save(file, np.array([[Attack()]], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy((2**60, 8)), rf"claims shape \({2**60}, 8\) of float32, {2**65} bytes, but 0 follow it"),
        (npy((-1, 3)), r"claims shape \(-1, 3\)"),
        (npy((1, 3), data=bytes(13)), "12 bytes, but 13 follow"),
        (npy((3,), data=bytes(12)), r"an array of shape \(3,\); expected \[frames, channels\]"),
        (npy((1, 2), "<c8", bytes(16)), "an array of type 'complex64'; expected numbers"),
        (npy((1, 2), "|S4", bytes(8)), "expected numbers"),
        (npy((1, 3), version=(9, 0)), "version 9.0, expected 1.0 or 2.0"),
        (npy("(((((((("), "not a whole .npy file of numbers"),
        (pickled(), "an array of type 'object'.*Nothing was executed"),
        (b"", "not a whole .npy file .* it has 0 bytes"),
        (b"version https://git-lfs.github.com/spec/v1", "starts with b'version https://'"),
    ],
)
def test_feature_files_that_are_refused(root, content, message, capfd):
    (root / "text" / "a.npy").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load(root)
    assert "samples.csv, line 2, column 'text': " in str(caught.value)
    assert "executed\n" not in capfd.readouterr().out


def test_empty_arrays_are_missing(root):
    np.save(root / "text" / "b.npy", np.zeros((0, 3), dtype=np.float32))
    assert load(root).splits["train"].observed["text"].any(dim=1).tolist() == [True, False]


def test_zip_bombs_are_refused_before_they_unpack(root):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("audio.npy", npy((5 << 20, 2), data=bytes(40 << 20)))
    assert len(bomb.getvalue()) < 50_000
    (root / "audio" / "a.npz").write_bytes(bomb.getvalue())
    with pytest.raises(UserError, match=r"'audio.npy' claims \d+ bytes in a file of \d+; more than 100 times"):
        load(root)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("audio.npy", npy((1, 2), data=bytes(8)))
    (root / "audio" / "a.npz").write_bytes(bomb.getvalue())
    with pytest.raises(UserError, match="compressed in another way"):
        load(root)


def test_a_sample_without_a_name_is_refused(root):
    text = (root / "samples.csv").read_text().splitlines()
    text[1] = text[1][text[1].index(",") :]
    (root / "samples.csv").write_text("\n".join(text))
    with pytest.raises(UserError, match="empty; give the sample a name"):
        load(root)


def test_a_parquet_cell_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(root):
    pq.write_table(pa.table({"id": ["x" * 150_000_000]}), root / "cell.parquet", compression="zstd")
    with pytest.raises(UserError, match="claims far more content than its"):
        load(root, table="cell.parquet")
