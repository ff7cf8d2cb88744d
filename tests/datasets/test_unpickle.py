"""Hostile, broken and honest pickles: nothing runs, only `UserError` comes out, data arrive whole."""

import contextlib
import copyreg
import io
import os
import pickle
import struct
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsa_core.datasets.unpickle import ElementType, read, scalar
from mmsa_core.errors import UserError

HONEST = {
    "train": {
        "text": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "id": ["a$_$1", "ä$_$2"],
        "parts": np.array([["v", "1", ""], ["w", "2.5", "3"]]),
        "bytes": np.array([b"x", b"yz"]),
        "objects": np.array(["a", 1, None, 2.5], dtype=object),
        "scalar": np.float64(1.5),
        "word": np.str_("w"),
        "flags": np.array([True, False]),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "swapped": np.arange(3, dtype=">f4"),
        "empty": np.zeros((0, 5), dtype=np.float16),
        "more": ({1, 2}, frozenset([3]), b"raw", b"", 1 + 2j, None, True, -(2**70), 0.5, ""),
    }
}


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.fixture
def load(tmp_path):
    def from_bytes(content: bytes):
        path = tmp_path / "data.pkl"
        path.write_bytes(content)
        return read(path)[0]

    return from_bytes


def same(a, b):
    if isinstance(a, np.ndarray):
        native = [x.dtype.newbyteorder("=") for x in (a, b)]  # numpy itself swaps when it loads
        return native[0] == native[1] and a.shape == b.shape and a.tolist() == b.tolist()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_arrive_whole(load, protocol):
    assert same(load(pickle.dumps(HONEST, protocol)), HONEST)


@pytest.mark.parametrize("protocol", range(4))
def test_numpy_1_names(load, protocol):
    content = pickle.dumps({"a": np.arange(3.0), "b": np.float32(2)}, protocol).replace(b"numpy._core", b"numpy.core")
    found = load(content)
    assert found["a"].tolist() == [0, 1, 2]
    assert found["b"] == 2


def test_python_2(load):
    """As cPickle of Python 2 wrote an array: byte strings everywhere, protocol 2."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    values = np.array([[1.5, -2.0]], dtype="<f4")
    dtype = (
        b"cnumpy\ndtype\n"
        + text(b"f4")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    array += b"(K\x01K\x01K\x02\x86" + dtype + b"\x89" + text(values.tobytes()) + b"tb"
    found = load(b"\x80\x02}" + text(b"text") + array + b"s.")
    assert found["text"].tolist() == values.tolist()


def test_digest_is_the_files(tmp_path):
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(HONEST))
    assert read(path)[1] == sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch {}",), f"{os.system.__module__}.system"),
        (eval, ("open({!r}, 'w')",), ".eval"),
        (exec, ("open({!r}, 'w')",), ".exec"),
        (getattr, ("{}", "lower"), ".getattr"),
        (open, ("{}", "w"), "open"),
        (bytearray, (10,), ".bytearray"),
        (np.load, ("{}",), "numpy.load"),
        (np.save, ("{}", 1), "numpy.save"),
        (np.fromfile, ("{}",), "fromfile"),
        (np.memmap, ("{}",), "memmap"),
        (np.ma.zeros, (3,), "numpy.ma"),
        (pickle.loads, (b"N.",), "loads"),
    ],
)
def test_calls_are_refused_by_name(load, tmp_path, function, arguments, named, protocol):
    target = tmp_path / "executed"
    filled = [a.format(str(target)) if isinstance(a, str) else a for a in arguments]
    content = pickle.dumps({"train": {"text": HONEST["train"]["text"], "id": Call(function, *filled)}}, protocol)
    with pytest.raises(UserError, match="Nothing was executed") as caught:
        load(content)
    assert named in str(caught.value)
    assert "data.pkl" in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "path.join"),
        ("numpy", "ndarray.tofile"),
        ("numpy", "ndarray.__class__"),
        ("numpy", "core.multiarray._reconstruct"),
        ("numpy.f2py", "compile"),
        ("numpy.f2py.crackfortran", "myeval"),
        ("numpy.testing._private.utils", "runstring"),
        ("mmsa_core.datasets.unpickle", "ADMITTED"),
        ("collections", "OrderedDict.fromkeys"),
        ("", ""),
        ("\ud800", "x"),
    ],
)
def test_other_names_are_refused(load, module, name):
    def text(value: str) -> bytes:
        encoded = value.encode("utf-8", "surrogatepass")
        return b"\x8c" + bytes([len(encoded)]) + encoded

    with pytest.raises(UserError, match="Nothing was executed"):
        load(b"\x80\x04" + text(module) + text(name) + b"\x93.")


@pytest.mark.parametrize("content", [b"Pfile://x\n.", b"\x80\x04K\x01Q.", b"\x80\x05\x97.", b"\x80\x02\x82\x01."])
def test_references_to_the_outside_are_refused(load, content):
    with pytest.raises(UserError, match="outside it"):
        load(content)


def test_a_cached_extension_is_refused(load, tmp_path):
    """An unrestricted unpickler has left `os.mkdir` in the cache that all unpicklers share."""
    content = pickle.dumps(Call(os.mkdir, str(tmp_path / "executed")), 2)
    module = os.mkdir.__module__
    copyreg.add_extension(module, "mkdir", 0xF0)
    try:
        pickle.loads(b"\x80\x02\x82\xf0.")
        extended = content.replace(f"c{module}\nmkdir\n".encode(), b"\x82\xf0")
        assert extended != content
        with pytest.raises(UserError, match="EXT1"):
            load(extended)
    finally:
        copyreg.remove_extension(module, "mkdir", 0xF0)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02cnumpy\ndtype\n}U\x05_makecbuiltins\nbytes\nsb.",  # redefine a constructor by its state
        b"\x80\x02cnumpy\ndtype\nN}U\x05_makeK\x01s\x86b.",  # by its slots
        b"\x80\x02cnumpy\nndarray\nK\x05\x85R.",  # call the class itself
        b"\x80\x02cnumpy\nndarray\nK\x05\x85\x81.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02O8\x85RU\x0812345678\x86R.",  # a pointer
        b"\x80\x02cnumpy.core.numeric\n_frombuffer\n(U\x0812345678cnumpy\ndtype\nU\x02O8\x85RK\x01\x85U\x01CtR.",
        b"\x80\x02cnumpy\ndtype\nU\x0df4,(1000000)i\x85R.",
        b"\x80\x02cnumpy\ndtype\n]U\x02f4a\x85R.",
    ],
)
def test_constructors_cannot_be_bent(load, content):
    with pytest.raises(UserError):
        load(content)
    assert load(pickle.dumps(np.arange(3.0))).tolist() == [0, 1, 2]


def array(shape: tuple, kind: bytes, content: bytes) -> bytes:
    """A pickled array whose shape, type and bytes need not fit."""
    start = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
    dtype = b"cnumpy\ndtype\nU" + bytes([len(kind)]) + kind + b"\x85R"
    return start + pickle.dumps(shape, 2)[2:-1].split(b"q")[0] + dtype + b"\x89" + content + b"tb."


@pytest.mark.parametrize(
    ("shape", "kind", "content"),
    [
        ((3,), b"f4", b"U\x0812345678"),
        ((-1, -2), b"f4", b"U\x0812345678"),
        ((2**62,), b"f4", b"U\x0812345678"),
        ((2**40,), b"S0", b"U\x00"),
        ((1,), b"O8", b"U\x0812345678"),
        ((2,), b"O8", b"]"),
        ((2,), b"V4", b"U\x0812345678"),
        ((2,), b"M8", b"U\x0812345678"),
        ((2,), b"f4", b"N"),
    ],
)
def test_arrays_that_lie_about_themselves(load, shape, kind, content):
    with pytest.raises(UserError):
        load(array(shape, kind, content))


def test_array_built_by_hand(load):
    assert load(array((2,), b"f4", b"U\x08" + np.float32([1, 2]).tobytes())).tolist() == [1, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        b"not a pickle",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"<!DOCTYPE html>",
        b"\x80\x09N.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"x.",  # a length that no machine holds
        b"\x80\x05\x96" + struct.pack("<Q", 2**63) + b"x.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
        b"Nr\xff\xff\xff\x7f.",  # a memo that would fill the memory
        b"Np4000000000\n.",
        b"I" + b"9" * 5000 + b"\n.",
        b"g7\n.",
        b"}]Ns.",  # an unhashable key
        b"0.",
    ],
)
def test_what_is_not_a_pickle(load, content):
    with pytest.raises(UserError, match="not a whole pickle"):
        load(content)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("order", ["<", ">"])
def test_text_that_is_none_in_unicode(load, protocol, order):
    names = np.array(["ab", "c"], dtype=f"{order}U2")
    assert list(load(pickle.dumps(names, protocol))) == ["ab", "c"]
    names.view(f"{order}u4")[0] = 0x110000
    with pytest.raises(UserError, match="text that is none in Unicode"):
        load(pickle.dumps(names, protocol))
    with pytest.raises(pickle.UnpicklingError, match="text that is none in Unicode"):
        scalar(ElementType(f"{order}U2"), names[:1].tobytes())


def test_deep_nesting_is_no_crash(load):
    assert load(b"]" * 100_000 + b"a" * 99_999 + b".")


def test_no_such_file(tmp_path):
    for path in (tmp_path / "no.pkl", tmp_path):
        with pytest.raises(UserError, match=r"data\.path"):
            read(path)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_truncated(load, protocol):
    content = pickle.dumps(HONEST, protocol)
    for end in range(0, len(content), 7):
        with pytest.raises(UserError):
            load(content[:end])


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_mutated_bytes_are_data_or_an_error(load, protocol, data):
    content = bytearray(pickle.dumps(HONEST, protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UserError):
        load(bytes(content))
    assert np.dtype("f4").byteorder == "="  # no shared type of numpy was changed
    assert same(load(pickle.dumps(HONEST, 4)), HONEST)


def test_real_files_need_only_admitted_names():
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data are not on this machine (../shared/data)")
    for path in sorted(folder.glob("y*.pkl")):
        found, digest = read(path)
        expected = pickle.load(io.BytesIO(path.read_bytes()))
        assert same(dict(found["train"]), expected["train"])
        assert len(digest) == 64
