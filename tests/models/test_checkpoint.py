"""Weights are read from every published layout, and never trusted."""

import argparse
import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from slt.core.errors import SltError, UserError
from slt.models import checkpoint
from slt.models.checkpoint import read_metadata, read_weights, save_weights

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.float16)}


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def same(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in expected.items()
    )


@pytest.mark.parametrize("key", ["model", "model_state", "student", "state_dict", None])
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_checkpoints_are_read_in_every_layout(tmp_path, key, zipped):
    layout = {key: WEIGHTS, "epoch": 3, "optimizer": {"lr": 0.1}} if key else WEIGHTS
    torch.save(layout, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    assert same(read_weights(tmp_path / "w.pth"), WEIGHTS)


def test_the_student_is_meant_where_a_teacher_stands_beside(tmp_path):
    torch.save({"model": {"t": torch.ones(1)}, "student": WEIGHTS}, tmp_path / "w.pth")
    assert same(read_weights(tmp_path / "w.pth"), WEIGHTS)


def test_foreign_safetensors_are_read(tmp_path):
    save_file(WEIGHTS, tmp_path / "w", {"format": "pt"})
    assert same(read_weights(tmp_path / "w"), WEIGHTS)


def test_saved_weights_are_read_again(tmp_path):
    save_weights(tmp_path / "w.safetensors", WEIGHTS, {"steps": 3})
    assert same(read_weights(tmp_path / "w.safetensors"), WEIGHTS)


def test_saving_stores_shared_tensors_once_and_views_apart(tmp_path):
    table = torch.randn(50, 40)
    weights = {"in": table, "out": table, "part": table[:3], "turned": table.T, "flat": table.view(-1)}
    save_weights(tmp_path / "w", weights)
    assert same(read_weights(tmp_path / "w"), weights)
    once = {name: value for name, value in weights.items() if name != "out"}
    assert (tmp_path / "w").stat().st_size < sum(value.nbytes for value in once.values()) + 2000


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        save_weights(tmp_path / name, WEIGHTS, dict.fromkeys("abcdefg", name[:0]))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_training_on_read_weights_leaves_the_file_alone(tmp_path):
    save_weights(tmp_path / "w.safetensors", WEIGHTS)
    torch.save(WEIGHTS, tmp_path / "w.pth")
    for path in tmp_path.iterdir():
        before = path.read_bytes()
        read_weights(path)["a"].add_(1)
        assert path.read_bytes() == before


def test_a_full_disk_is_told_when_saving(tmp_path, monkeypatch):
    def full(*_):
        raise checkpoint.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(SltError, match=r"cannot write .*w: I/O error: No space left") as caught:
        save_weights(tmp_path / "w", WEIGHTS)
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_absent_file_is_the_users(tmp_path):
    with pytest.raises(UserError, match=r"cannot read weights from .*nowhere: No such file"):
        read_weights(tmp_path / "nowhere")


def test_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot read weights from .*: Is a directory"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, expected weights"),
        (b"<!DOCTYPE html><html>", "neither a safetensors file nor a torch checkpoint; it starts b'<!DOCTYPE html>"),
        (b"PK\x03\x04", "cannot be read as a torch checkpoint"),
        (b"\x80\x02", "cannot be read as a torch checkpoint"),
        (pickle.dumps({"a": 1}), "cannot be read as a torch checkpoint"),
        (b"\x10\0\0\0\0\0\0\0{", "damaged safetensors file"),
    ],
)
def test_what_is_no_weights_is_refused(tmp_path, content, message):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_weights(tmp_path / "w")
    assert "copy or fetch the file again" in caught.value.fix


@pytest.mark.parametrize("layout", ["safetensors", "zip", "pickle"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_file_is_refused(tmp_path, layout, share):
    path = tmp_path / "w"
    if layout == "safetensors":
        save_weights(path, WEIGHTS)
    else:
        torch.save({"model": WEIGHTS}, path, _use_new_zipfile_serialization=layout == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=rf"{path} (cannot be read as a torch checkpoint|is a damaged safetensors)"):
        read_weights(path)


def test_safetensors_that_share_what_is_not_there_are_refused(tmp_path):
    save_file(WEIGHTS, tmp_path / "w", {"slt": '{"shared": {"c": "nowhere"}}'})
    with pytest.raises(UserError, match="damaged safetensors file: 'nowhere'"):
        read_weights(tmp_path / "w")


def test_a_zip_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(UserError, match="cannot be read as a torch checkpoint"):
        read_weights(tmp_path / "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_that_wants_to_run_something_is_refused_and_runs_nothing(tmp_path, zipped):
    torch.save({"model": WEIGHTS, "x": Evil(tmp_path / "ran")}, tmp_path / "w", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"refused: it is a pickle that imports (posix|nt)\.system") as caught:
        read_weights(tmp_path / "w")
    assert not (tmp_path / "ran").exists()
    assert "weights_only" not in caught.value.message + caught.value.fix


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({"model": WEIGHTS, "args": argparse.Namespace(lr=1)}, "argparse.Namespace"),
        (nn.Linear(1, 1), "torch.nn.modules"),
    ],
)
def test_pickle_that_wants_a_class_is_refused_by_name(tmp_path, content, wanted):
    torch.save(content, tmp_path / "w")
    with pytest.raises(UserError, match=rf"imports {wanted}.*, expected tensors only"):
        read_weights(tmp_path / "w")


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ([torch.ones(1)], "holds a list, expected weights by name"),
        ({"epoch": 1, 7: {}}, "has none of student, model, model_state, state_dict: found epoch, 7"),
        ({"model": {"a": torch.ones(1), "lr": 0.1}}, "no plain weights under 'model': found lr"),
        ({"model": {}}, "no plain weights under 'model': found nothing"),
        ({f"k{i}": i for i in range(9)}, "found k0, k1, k2, k3, k4 and 4 more"),
    ],
)
def test_unknown_layout_is_refused_and_described(tmp_path, layout, message):
    torch.save(layout, tmp_path / "w")
    with pytest.raises(UserError, match=message):
        read_weights(tmp_path / "w")


def test_notes_beside_weights_are_read_back_and_a_damaged_file_is_refused(tmp_path):
    save_weights(tmp_path / "a.safetensors", {"a": torch.ones(2)}, {"kind": "x", "config": {"size": 1}})
    assert read_metadata(tmp_path / "a.safetensors") == {"kind": "x", "config": {"size": 1}}
    (tmp_path / "b.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"b\.safetensors is a damaged safetensors file"):
        read_metadata(tmp_path / "b.safetensors")
