"""Annotations as people have them: ELAN, rolling captions, CSL-Daily, JSON Lines; from files to scores."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import pytest

from slt.data.manifest import read_manifest
from tests.annotations import ROLLING, SENTENCES, write_eaf
from tests.bundles import noise, write_clip

N_FRAMES = 200  # 8 s


def write_video(folder: Path, name: str) -> None:
    (folder / "videos").mkdir(exist_ok=True)
    write_clip(folder / "videos" / name, N_FRAMES)


def elan(folder: Path) -> tuple[list[object], str]:
    for name in ("123_1a1", "123_1b1"):
        write_video(folder, f"{name}.mp4")
    tiers = {
        "English_A": [(0.2, 2.0, "the weather is nice"), (3.0, 5.0, "we go hiking"), (9.0, 9.5, "too late")],
        "English_B": [(2.0, 2.9, "is the weather nice")],
        "Gloss_A": [(0.3, 0.9, "WEATHER"), (1.0, 1.5, "NICE")],
    }
    media = ["file:///C:/x/123_1a1.mp4", "file:///C:/x/123_1b1.mp4"]
    write_eaf(folder / "eaf" / "123.eaf", tiers, media=media)
    (folder / "eaf" / "bomb.eaf").write_text(
        "<!DOCTYPE a [<!ENTITY a 'ha'>]><ANNOTATION_DOCUMENT>&a;</ANNOTATION_DOCUMENT>"
    )
    words = ["--tier", "English_*", "--also", "gloss=Gloss_*", "--media", "*_1{signer}1", "--lang", "eng_Latn"]
    return ["elan", folder / "eaf", *words, "--videos", folder / "videos", "--split", "val"], "val"


def rolling(folder: Path) -> tuple[list[object], str]:
    write_video(folder, "talk.mp4")
    (folder / "captions").mkdir()
    (folder / "captions" / "talk.en.vtt").write_text(ROLLING, "utf-8")
    words = ["--subtitles", folder / "captions", "--videos", folder / "videos", "--lang", "eng_Latn", "--split", "val"]
    return ["table", *words, "--no-cut"], "val"


def csl_daily(folder: Path) -> tuple[list[object], str]:
    info = []
    for number in range(4):
        name = f"S00000{number}_P0003_T00"
        label = {
            "name": name,
            "length": 40 + (number == 2),
            "label_gloss": ["A", "B"],
            "label_char": list("wego"),
            "signer": 3,
        }
        info.append(label)
        if number == 3:
            continue
        (folder / "frames_512x512" / name).mkdir(parents=True)
        for frame, picture in enumerate(noise(40, seed=number)):
            cv2.imwrite(str(folder / "frames_512x512" / name / f"{frame:06d}.jpg"), picture)
    (folder / "csl2020ct_v2.pkl").write_bytes(pickle.dumps({"info": info, "gloss_map": ["A", "B"]}))
    rows = "".join(f"{label['name']}|dev\n" for label in info)
    (folder / "split_1.txt").write_text(f"name|split\n{rows}S999999_P0000_T00|dev\n", "utf-8")
    words = ["--labels", folder / "csl2020ct_v2.pkl", "--csv", folder / "split_1.txt"]
    return ["csl-daily", *words, "--videos", folder / "frames_512x512"], "val"


def json_lines(folder: Path) -> tuple[list[object], str]:
    write_video(folder, "talk.mp4")
    rows = [
        {"name": f"talk_{number}", "file": "talk.mp4", "said": text, "from": start, "to": end}
        for number, (start, end, text) in enumerate(SENTENCES)
    ]
    lines = [*map(json.dumps, rows), "[" * 100_000]
    (folder / "val.jsonl").write_text("\n".join(lines), "utf-8")
    words = [
        "--video",
        "file",
        "--text",
        "said",
        "--id",
        "name",
        "--start",
        "from",
        "--end",
        "to",
        "--lang",
        "eng_Latn",
    ]
    return ["table", "--csv", folder / "val.jsonl", *words, "--videos", folder / "videos", "--no-cut"], "val"


WRITERS = {"elan": elan, "rolling": rolling, "csl-daily": csl_daily, "jsonl": json_lines}


@pytest.fixture(scope="module", params=WRITERS)
def prepared(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    words, split = WRITERS[request.param](folder)
    return request.param, ["prepare", *words, "--out", folder / "out"], folder / "out" / f"{split}.tsv"


EXPECTED = {
    "elan": (3, ["2 of 5 rows failed", "bomb.eaf is refused: it defines entities", "123_A_3 begins at 9 s"]),
    "rolling": (0, ["rolling caption files: 1, lines shown again: 5, sounds such as [Music], left out: 1"]),
    "csl-daily": (
        3,
        [
            "2 of 5 rows failed",
            "the labels have no clip 'S999999_P0000_T00'",
            "no video S000003_P0003_T00 below",
            "other numbers of frames than listed: 1",
        ],
    ),
    "jsonl": (3, ["1 of 4 rows failed", "val.jsonl line 4", "it is not JSON"]),
}


def test_every_row_is_a_clip_or_is_named(slt, prepared):
    name, words, manifest = prepared
    code, said = EXPECTED[name]
    for _ in range(2):  # again: what is done stays, and the same is said
        outcome = slt(*words)
        assert outcome.code == code, outcome.err
        assert outcome.out.split() == [str(manifest)]
        for one in said:
            assert one in outcome.err
    clips = [clip for clip in read_manifest(manifest).clips if clip.video]
    assert len(clips) == 3
    if name == "elan":
        assert [(clip.id, clip.extra["signer"], clip.extra.get("gloss")) for clip in clips] == [
            ("123_A_1", "A", "WEATHER NICE"),
            ("123_A_2", "A", None),
            ("123_B_1", "B", None),
        ]
    if name in ("rolling", "jsonl"):
        assert [(clip.start_s, clip.end_s, clip.text) for clip in clips] == SENTENCES
    if name == "csl-daily":
        assert [(clip.text, clip.lang, clip.extra["gloss"]) for clip in clips] == [("wego", "zho_Hans", "A B")] * 3
        assert "filmed at 30 frames per second" in outcome.err


@pytest.mark.slow
def test_from_annotations_to_training_and_scores(slt, prepared, bundle, tmp_path):
    name, words, manifest = prepared
    assert slt(*words).code == EXPECTED[name][0]
    clean, store, run = tmp_path / "clean.tsv", tmp_path / "features", tmp_path / "run"
    checked = slt("check-manifest", manifest, "--fix", clean)
    assert checked.code == 0, checked.err
    # The tiny model writes English and German only.
    clean.write_text(clean.read_text("utf-8").replace("zho_Hans", "eng_Latn"), "utf-8")
    outcome = slt("extract-features", clean, "--model", bundle, "--out", store, "--device", "cpu")
    assert outcome.code == 0, outcome.err
    recipe = tmp_path / "recipe.yaml"
    split = {"manifest": str(clean), "features": str(store)}
    recipe.write_text(
        f"""
        name: one-step
        extractor: {{ kind: signhiera, bundle: {bundle} }}
        encoder: {{ kind: mlp, shape: {{ hidden_dim: 8 }} }}
        decoder: {{ kind: sonar, bundle: {bundle} }}
        objective: {{ kind: sonar-space, mse: 1.0 }}
        data: {{ train: {split}, val: {split}, langs: [eng_Latn], workers: 0 }}
        trainer: {{ epochs: 1, device: cpu, text_every: 0 }}
        """
    )
    outcome = slt("train-encoder", recipe, "--out", run)
    assert outcome.code == 0, outcome.err
    words = ["--manifest", clean, "--features", store, "--metrics", "bleu4", "--resamples", 100]
    outcome = slt("evaluate", "--model", run, *words, "--out", tmp_path / "scores")
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "scores" / "results.json").read_text("utf-8"))["clips"]["n"] == 3
