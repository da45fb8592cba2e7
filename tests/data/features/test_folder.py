import numpy as np
import pytest
import torch

from slt.core.errors import UserError
from slt.data.features.folder import FolderFeatures, read_features
from slt.data.features.header import StoreHeader
from slt.data.features.open import open_features
from slt.data.features.writer import FeatureWriter

CLIP = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_files_named_by_id_are_features(tmp_path):
    np.save(tmp_path / "-a b.npy", CLIP)
    torch.save(torch.from_numpy(CLIP + 1), tmp_path / "c.pt")
    (tmp_path / "notes.txt").write_text("mine")
    found = open_features(tmp_path)
    assert found.ids == ("-a b", "c")
    assert found.header == StoreHeader(feature_dim=3, dtype="float32")
    assert (len(found), found.length("c"), "c" in found, "notes" in found) == (2, 4, True, False)
    np.testing.assert_array_equal(found["-a b"], CLIP)
    np.testing.assert_array_equal(found["c"], CLIP + 1)


def test_the_layout_of_ssvp_slt_is_read(tmp_path):
    for name in ("abcdefgh", "-fZc293"):
        path = tmp_path / "features" / "0" / name[:5] / f"{name}.pt"
        path.parent.mkdir(parents=True)
        torch.save(torch.from_numpy(CLIP).half(), path)
    found = FolderFeatures(tmp_path / "features")
    assert set(found.ids) == {"abcdefgh", "-fZc293"}
    assert found.header.dtype == found["abcdefgh"].dtype == "float16"
    (tmp_path / "features" / "1").mkdir()
    torch.save(torch.from_numpy(CLIP), tmp_path / "features" / "1" / "abcdefgh.pt")
    with pytest.raises(UserError, match="two files hold the features of abcdefgh"):
        FolderFeatures(tmp_path / "features")


def test_a_store_is_told_from_a_folder(tmp_path):
    with FeatureWriter(tmp_path / "s", StoreHeader(feature_dim=3, dtype="float32")) as writer:
        writer.add("a", CLIP)
    np.testing.assert_array_equal(open_features(tmp_path / "s")["a"], CLIP)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.mkdir(), "holds no features"),
    ],
)
def test_where_nothing_lies_nothing_is_opened(tmp_path, make, said):
    make(tmp_path / "f")
    with pytest.raises(UserError, match=said):
        open_features(tmp_path / "f")


def test_keypoints_become_rows(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 75, 3)))
    assert read_features(tmp_path / "a.npy").shape == (5, 225)
    assert read_features(tmp_path / "a.npy").dtype == np.float32


def test_bfloat16_is_read(tmp_path):
    torch.save(torch.from_numpy(CLIP).bfloat16(), tmp_path / "a.pt")
    np.testing.assert_array_equal(read_features(tmp_path / "a.pt"), CLIP)


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("a.npy", lambda path: path.write_bytes(b""), "not a whole .npy"),
        ("a.npy", lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), "not a whole .npy"),
        ("a.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True), "not a whole .npy"),
        ("a.npy", lambda path: np.save(path, CLIP.astype(int)), r"holds int64 of shape \(4, 3\)"),
        ("a.npy", lambda path: np.save(path, CLIP[:0]), r"shape \(0, 3\)"),
        ("a.npy", lambda path: np.save(path, CLIP[None]), r"shape \(1, 4, 3\)"),
        ("a.npy", lambda path: path.mkdir(), "cannot read .*Is a directory"),
        ("a.pt", lambda path: path.write_bytes(b"PK\x03\x04"), "cannot be read as a tensor"),
        ("a.pt", lambda path: torch.save({"x": 1}, path), "holds a dict, expected a tensor"),
    ],
)
def test_what_holds_no_features_is_refused(tmp_path, name, write, said):
    write(tmp_path / name)
    with pytest.raises(UserError, match=said):
        read_features(tmp_path / name)


def test_one_width_per_folder(tmp_path):
    np.save(tmp_path / "a.npy", CLIP)
    np.save(tmp_path / "b.npy", CLIP.T)
    with pytest.raises(UserError, match=r"b\.npy holds features 4 wide, others 3"):
        open_features(tmp_path).length("b")
