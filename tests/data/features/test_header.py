import json
from pathlib import Path

import pytest

from slt.core.errors import UserError
from slt.data.features.header import HEADER_NAME, StoreHeader, header_bytes, read_header

HEADER = StoreHeader(
    feature_dim=768,
    dtype="float16",
    extractor="signhiera",
    weights_sha256="ab" * 32,
    geometry={"num_frames": 128, "target_fps": 25.0, "detector": "dlib-hog"},
)


def test_a_header_is_read_as_it_was_written(tmp_path):
    (tmp_path / HEADER_NAME).write_bytes(header_bytes(HEADER))
    assert read_header(tmp_path) == HEADER


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is no feature store: cannot read .*No such file"),
        ("{", "is not JSON"),
        ('{"format": 9}', "has the format 9; this version of slt reads format 1"),
        ('{"format": 1, "feature_dim": 0, "dtype": "float16"}', "at least 1 number, not 0"),
        ('{"format": 1, "feature_dim": 8, "dtype": "int8"}', "dtype: expected one of 'float16'"),
        ("[]", "expected a group of keys"),
    ],
)
def test_what_is_no_header_is_refused(tmp_path, content, said):
    if content is not None:
        (tmp_path / HEADER_NAME).write_text(content)
    with pytest.raises(UserError, match=said):
        read_header(tmp_path)


def test_what_is_wanted_is_compared():
    where, fix = Path("store"), "slt extract-features M --out store2"
    HEADER.check_fits(where=where, fix=fix, extractor="signhiera", feature_dim=768, geometry={"num_frames": 128})
    with pytest.raises(UserError, match="do not match: weights abababababab, wanted cdcdcdcdcdcd; num") as error:
        HEADER.check_fits(where=where, fix=fix, weights_sha256="cd" * 32, geometry={"num_frames": 64})
    assert error.value.message.endswith("num_frames 128, wanted 64")
    assert error.value.fix == fix


def test_what_nobody_noted_is_not_compared():
    imported = StoreHeader(**json.loads('{"feature_dim": 768, "dtype": "float32"}'))
    imported.check_fits(where=Path("s"), fix="", extractor="signhiera", weights_sha256="ab" * 32, geometry={"size": 1})
    with pytest.raises(UserError, match="width 768, wanted 225"):
        imported.check_fits(where=Path("s"), fix="", feature_dim=225)
