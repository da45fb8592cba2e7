"""Pickles of plain data are read as pickle reads them; anything else is refused, named, and not run."""

from __future__ import annotations

import collections
import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slt.core import safe_pickle
from slt.core.errors import UserError
from slt.core.safe_pickle import load_pickle, loads

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
WHERE = Path("some.pkl")


class Evil:
    """What a hostile pickle asks for."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self._wanted = call, arguments

    def __reduce__(self) -> Any:
        return self._wanted


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_is_read_as_pickle_reads_it(protocol: int) -> None:
    value = {
        "keypoints": [np.arange(6.0).reshape(1, 3, 2), np.ones((1, 3, 2), np.float32)],
        "columns first": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big-endian": np.arange(3, dtype=">i4"),
        "texts": np.array(["ab", "c"]),
        "yes": np.array([[True], [False]]),
        "none": np.zeros((0, 5)),
        "scalar": np.float64(2.5),
        "plain": (
            "a",
            "schön",
            b"x\xff",
            None,
            True,
            False,
            -5,
            70_000,
            1 << 80,
            1.5,
            [],
            (),
            {},
            [[1], 2, (3, 4, 5, 6)],
        ),
        7: {"deeper": 1},
    }
    got = loads(pickle.dumps(value, protocol), where=WHERE)
    assert got.keys() == value.keys()
    assert got["plain"] == value["plain"]
    assert [type(one) for one in got["plain"]] == [type(one) for one in value["plain"]]
    assert (got["scalar"], got[7]) == (2.5, {"deeper": 1})
    for name in ("columns first", "big-endian", "texts", "yes", "none"):
        assert np.array_equal(got[name], value[name])
        assert got[name].shape == value[name].shape
    assert [one.dtype for one in got["keypoints"]] == [np.float64, np.float32]
    assert np.array_equal(got["keypoints"], value["keypoints"])
    got["yes"][0] = False  # the caller's own


def test_an_array_named_twice_is_the_same_array() -> None:
    array = np.arange(3)
    first, second = loads(pickle.dumps([array, array]), where=WHERE)
    assert first is second


def test_names_of_old_numpy_and_python_2_are_known() -> None:
    old = pickle.dumps(np.arange(3, dtype="<i8"), protocol=0).replace(b"numpy._core.", b"numpy.core.")
    assert loads(old, where=WHERE).tolist() == [0, 1, 2]
    python_2 = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n(S'i1'\nI0\nI1\n"
        b"tR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nU\x02\x01\xfftb."
    )
    assert loads(python_2, where=WHERE).tolist() == [1, -1]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_plain_and_gzipped(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "labels.pkl"
    path.write_bytes(pack(pickle.dumps({"name": {"text": "hello"}})))
    assert load_pickle(path) == {"name": {"text": "hello"}}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("evil", "named"),
    [
        (Evil(os.system, "touch {ran}"), r"imports (posix|nt|os)\.system"),
        (Evil(eval, "open('{ran}', 'w')"), r"imports (builtins|__builtin__)\.eval"),
        (Evil(open, "{ran}", "w"), r"imports (_io|io)\.open"),
        (Evil(np.load, "{ran}"), r"imports numpy\.load"),
        (collections.OrderedDict(a=1), r"imports collections\.OrderedDict"),
        (Path("x"), r"imports pathlib\.PosixPath"),
        ({1, 2}, "set|EMPTY_SET"),
        (np.array([{"a": 1}], dtype=object), "array of 'O8'"),
        (np.zeros(1, dtype=[("a", "f4")]), "array of 'V4'"),
        (np.zeros(1, dtype="M8[s]"), "array of 'M8'"),
        (np.ma.masked_array([1.0], [True]), r"imports numpy\.ma"),
    ],
)
def test_anything_else_is_refused_and_not_run(tmp_path: Path, protocol: int, evil: Any, named: str) -> None:
    ran = tmp_path / "ran"
    if isinstance(evil, Evil):
        call, arguments = evil.__reduce__()
        evil = Evil(call, *[one.format(ran=ran) for one in arguments])
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps([evil], protocol))
    with pytest.raises(UserError, match=f"evil.pkl is refused: it is a pickle that .*({named}).*nothing in it was run"):
        load_pickle(path)
    assert not ran.exists()


ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n"
KIND = b"cnumpy\nndarray\n"
BEGUN = ARRAY + b"(" + KIND + b"(I0\ntS'b'\ntR"
TYPE = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR"


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (BEGUN + b".", "ends in the middle of an array"),
        (b"]" + BEGUN + b"a.", "ends in the middle of an array"),
        (BEGUN + b"p0\ng0\n.", "uses an array before it is whole"),
        (BEGUN + b"(I1\n(I9\nt" + TYPE + b"I00\nS'12345678'\ntb.", "8 bytes are not those of its shape"),
        (BEGUN + b"(I1\n(I-1\nt" + TYPE + b"I00\nS''\ntb.", "not those of its shape"),
        (BEGUN + b"(I1\n(I1\nt" + TYPE + b"I00\n]tb.", "an array of objects"),
        (BEGUN + b"(I1\n(I1\ntNI00\nS'1'\ntb.", "an array of objects"),
        (TYPE + b"(I3\nS'<'\nN(S'a'\nt}I8\nI8\nI0\ntb.", "array of records"),
        (TYPE + b"(I3\nS'x'\nNNNI8\nI8\nI0\ntb.", "byte order 'x'"),
        (TYPE + b".", "in the middle of an array"),
        (b"]" + TYPE + b"a.", "keeps the name"),
        (KIND + b".", "in the middle of an array"),
        (ARRAY + b"(I0\nI0\nI0\ntR.", "array of another class"),
        (b"c_codecs\nencode\n(Vabc\nVutf-16\ntR.", "encodes a text as 'utf-16'"),
        (KIND + b"(tR.", "calls what is no function"),
        (b"}Nb.", "sets the state of an object"),
        (b"}]}sb.", "dict keys that are no strings"),
        (b"(I1\nd.", "dict keys"),
        (b"}I1\na.", "treats a dict as a list"),
        (b"a.", "takes more than it has"),
        (b"Pevil\n.", "asks for the instruction PERSID"),
        (b"\x82\x01.", "asks for the instruction EXT1"),
        (b"(ios\nsystem\n.", "asks for the instruction INST"),
        (b"(cos\nsystem\no.", "imports os.system"),
        (b"]p0\ng0\na.", "nests more than 32 deep, or in itself"),
        (b"]" * 40 + b"a" * 39 + b".", "nests more than 32 deep"),
    ],
)
def test_what_no_honest_program_writes(code: bytes, named: str) -> None:
    with pytest.raises(UserError, match=named):
        loads(code, where=WHERE)


def test_a_few_bytes_that_stand_for_ten_thousand_million_values() -> None:
    value: list[Any] = [0] * 10
    for _ in range(9):
        value = [value] * 10
    with pytest.raises(UserError, match="stands for more than 20000000 values"):
        loads(pickle.dumps(value), where=WHERE)


def test_a_gzip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_pickle, "LARGEST_BYTES", 1 << 20)
    path = tmp_path / "bomb.pkl"
    path.write_bytes(gzip.compress(bytes(10 << 20)))
    with pytest.raises(UserError, match="unpacks to more than 1 MiB"):
        load_pickle(path)


def test_the_memo_costs_nothing_however_large_its_numbers() -> None:
    assert loads(b"I7\nr\xff\xff\xff\xff.", where=WHERE) == 7


@pytest.mark.parametrize("code", [b"", b"\x80", b"hello", b"]", b".", b"tt.", b"g7\n.", b"Iabc\n."])
def test_what_is_no_pickle(code: bytes) -> None:
    with pytest.raises(UserError, match=r"not a pickle that can be read|takes more than it has"):
        loads(code, where=WHERE)


def test_every_truncation_is_refused() -> None:
    whole = pickle.dumps({"keypoints": [np.ones((1, 3, 2))], "text": "a"})
    for n in range(len(whole) - 1):
        with pytest.raises(UserError, match=r"some\.pkl"):
            loads(whole[:n], where=WHERE)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*absent\.pkl: No such file"):
        load_pickle(tmp_path / "absent.pkl")
    cut = tmp_path / "cut.pkl"
    cut.write_bytes(gzip.compress(pickle.dumps(list(range(1000))))[:-20])
    with pytest.raises(UserError, match=r"cut\.pkl is not a whole gzip file"):
        load_pickle(cut)
