"""A card is read strictly, written with the hashes of its files, and reads back as it was."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from slt.assets.cards import BundleCard, DomainCard, read_card, sha256_of, write_card
from slt.core.config import parse
from slt.core.errors import UserError

CARD = {
    "format": 1,
    "name": "tiny",
    "summary": "nothing much",
    "licence": "Apache-2.0",
    "languages": ["eng_Latn", "deu_Latn"],
    "preprocess": {"num_frames": 64, "sampling_rate": 2, "target_fps": 25, "stride_frames": 32, "size": 96}
    | {"detector": "none"},
    "extractor": {"kind": "signhiera", "config": {"embed_dim": 8}, "weights": "extractor.safetensors"},
    "encoder": {"kind": "sonar-t5", "config": {}, "weights": "encoder.safetensors"},
    "decoder": {"kind": "sonar", "config": {}, "weights": "text_decoder.safetensors"}
    | {"text_encoder": "text_encoder.safetensors", "tokenizer": "tokenizer.model"},
    "made": {"seed": 1, "scores": {"bleu": 91.5}},
}
FILES = ("extractor.safetensors", "encoder.safetensors", "text_decoder.safetensors", "text_encoder.safetensors")
FILES += ("tokenizer.model",)


@pytest.fixture
def folder(tmp_path):
    for file in FILES:
        (tmp_path / file).write_text(f"what {file} holds")
    return tmp_path


def changed(path: str, value: object) -> dict:
    card = json.loads(json.dumps(CARD))
    *groups, last = path.split(".")
    inner = card
    for group in groups:
        inner = inner[group]
    inner[last] = value
    return card


def read(folder: Path, content: object) -> BundleCard:
    (folder / "card.json").write_text(json.dumps(content))
    return read_card(folder)


def test_card_is_read(tmp_path):
    card = read(tmp_path, CARD)
    assert card.languages == ("eng_Latn", "deu_Latn")
    assert (card.preprocess.size, card.preprocess.target_fps, card.preprocess.detector) == (96, 25.0, "none")
    assert card.extractor.config == {"embed_dim": 8}
    assert card.files == FILES
    assert (card.domain, card.made["seed"]) == (None, 1)


def test_preprocessing_defaults_to_the_published_one(tmp_path):
    preprocess = read(tmp_path, changed("preprocess", {})).preprocess
    assert (preprocess.num_frames, preprocess.sampling_rate, preprocess.stride_frames) == (128, 2, 64)
    assert (preprocess.target_fps, preprocess.size, preprocess.detector) == (25.0, 224, "dlib-hog")


def test_written_card_has_the_hashes_and_reads_back(folder):
    card = replace(parse(BundleCard, CARD, where="x"), domain=DomainCard(weights=FILES[0], summary="ün"))
    written = write_card(folder, card)
    assert written.sha256 == {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in FILES}
    assert read_card(folder) == written
    assert "ün" in (folder / "card.json").read_text("utf-8")


def test_card_is_not_written_without_its_files(folder):
    (folder / FILES[1]).unlink()
    with pytest.raises(UserError, match=r"lacks encoder\.safetensors, which its card names"):
        write_card(folder, parse(BundleCard, CARD, where="x"))
    assert not (folder / "card.json").exists()


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert sha256_of(tmp_path / "empty").startswith("e3b0c44298fc1c14")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("name", "", "name and languages must not be empty"),
        ("languages", [], "name and languages must not be empty"),
        ("languages", "eng_Latn", "languages: expected a list, found 'eng_Latn'"),
        ("licence", None, "licence: expected a text, found None"),
        ("surprise", 1, "surprise: unknown"),
        ("preprocess.sise", 1, "preprocess.sise: unknown, did you mean size"),
        ("preprocess.num_frames", 0, "preprocess: expected positive numbers, found num_frames 0"),
        ("preprocess.target_fps", float("nan"), "preprocess: expected positive numbers, found target_fps nan"),
        ("extractor.kind", "signhira", "extractor: unknown kind 'signhira', known: signhiera, keypoints"),
        ("extractor.kind", "keypoints", "extractor: keypoints have no model here: expected no weights"),
        ("encoder.kind", "zzz", "encoder: unknown kind 'zzz', known: sonar-t5"),
        ("decoder.kind", "qqq", "decoder: unknown kind 'qqq', known: sonar"),
        ("decoder.tokenizer", 3, "decoder.tokenizer: expected a text, found 3"),
        ("extractor.weights", "../other.safetensors", "'../other.safetensors' is no path inside the bundle"),
        ("extractor.weights", "/etc/passwd", "'/etc/passwd' is no path inside the bundle"),
        ("extractor.weights", "..\\x", "is no path inside the bundle"),
        ("extractor.weights", "", "'' is no path inside the bundle"),
        ("domain", {"weights": "d.safetensors"}, "domain.summary: absent"),
        ("sha256", {"encoder.safetensors": "abc"}, "sha256 of encoder.safetensors is none"),
    ],
)
def test_mistakes_are_told_with_their_path(tmp_path, path, value, message):
    with pytest.raises(UserError, match=message.replace("\\", r"\\")) as caught:
        read(tmp_path, changed(path, value))
    assert str(tmp_path / "card.json") in caught.value.message


def test_all_mistakes_are_told_at_once(tmp_path):
    content = changed("preprocess.size", "big") | {"encoder": {"kind": "sonar-t5"}, "extra": 1}
    with pytest.raises(UserError, match="4 mistakes in") as caught:
        read(tmp_path, content)
    for mistake in ("preprocess.size: expected", "encoder.config: absent", "encoder.weights: absent", "extra: unknown"):
        assert mistake in caught.value.message


@pytest.mark.parametrize("found", [2, None, "1"])
def test_other_formats_are_told_before_all_else(tmp_path, found):
    with pytest.raises(UserError, match=rf"has the format {found!r}; this version of slt reads format 1") as caught:
        read(tmp_path, {"format": found, "something": "new"})
    assert "version of slt" in caught.value.fix


def test_absent_card_is_told(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*card\.json: No such file"):
        read_card(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_what_is_no_json_is_told(tmp_path, content):
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(UserError, match=r"card\.json is not JSON"):
        read_card(tmp_path)


def test_json_of_something_else_is_told(tmp_path):
    with pytest.raises(UserError, match="expected a group of keys, found"):
        read(tmp_path, [1])
