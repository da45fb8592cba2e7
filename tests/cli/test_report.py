from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from slt.data.manifest import Clip, write_manifest
from slt.evaluate.figures import SERIES
from slt.evaluate.report import read_curves
from tests.bundles import write_clip

VOID = {"meta", "input", "br", "img", "link"}


class Page(HTMLParser):
    """Reads a page, and holds that its elements are closed in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.seen if name == tag]


@pytest.fixture
def scored(slt, bundle, tmp_path):
    write_clip(tmp_path / "a.mp4")
    texts = ["we go <hiking> & rest", "is the weather nice", "we go"]
    videos = ["a.mp4", "a.mp4", "missing.mp4"]
    clips = [
        Clip(id=f"clip-{n}", video=video, text=text, lang="eng_Latn", extra={"signer": "Ann"})
        for n, (text, video) in enumerate(zip(texts, videos, strict=True))
    ]
    write_manifest(tmp_path / "test.tsv", clips)

    def score(name, *words):
        manifest = ("--manifest", tmp_path / "test.tsv", "--train", tmp_path / "test.tsv")
        settings = ("--device", "cpu", "--resamples", 50, "--name", name)
        slt("evaluate", "--model", bundle, *manifest, *settings, "--out", tmp_path / name, *words)
        return tmp_path / name

    return score


@pytest.fixture
def training(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.yaml").write_text("encoder: {kind: sonar-t5}\n", "utf-8")
    (folder / "outcome.json").write_text('{"best": "best-7.safetensors", "steps": 70}', "utf-8")
    (folder / "metrics.csv").write_text(
        "step,epoch,figure,value\n1,0,train/loss,2.5\n2,0,train/loss,1.5\n2,0,val/bleu,12\n3,0,train/loss,nan\n3,0,tr",
        "utf-8",
    )
    return folder


def test_one_page_tells_everything_and_asks_for_nothing(slt, scored, training, tmp_path):
    zero, tuned = scored("zero", "--controls"), scored("tuned", "--beam", 2)
    outcome = slt("report", zero, tuned, training, "--out", tmp_path / "report.html")
    assert outcome.code == 0
    assert outcome.out.strip() == str(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    page = Page(html)
    for heading in ("Scores", "Comparison", "By length", "By training", "By signer", "Training: run", "Translations"):
        assert heading in page.text
    assert "we go <hiking> & rest" in page.text
    assert "encoder: {kind: sonar-t5}" in page.text
    assert '"best": "best-7.safetensors"' in page.text
    assert "failed:" in page.text
    ids = [attrs["id"] for _, attrs in page.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    fetched = [attrs.get("src") or attrs.get("href") or "" for _, attrs in page.seen]
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) or not address for address in fetched)
    assert "default-src 'none'" in page.all("meta")[2]["content"]


def test_it_can_be_read_without_eyes_or_mouse(slt, scored, training, tmp_path):
    slt("report", scored("zero"), training, "--out", tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    page = Page(html)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("img")) == 2
    assert all(image["alt"] for image in page.all("img"))
    assert page.all("svg")
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(head.get("scope") for head in page.all("th"))
    labelled = {label["for"] for label in page.all("label")}
    assert {field["id"] for field in page.all("input")} <= labelled
    assert html.count("aria-sort") >= 3


def test_drawings_are_whole_and_take_the_pages_colours(slt, scored, training, tmp_path):
    slt("report", scored("zero"), training, "--out", tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    drawings = re.findall(r"<svg.*?</svg>", html, re.S)
    assert len(drawings) >= 3
    for drawing in drawings:
        ET.fromstring(drawing)
        assert "currentColor" in drawing
        assert not any(colour in drawing for colour in SERIES)
    loss = next(drawing for drawing in drawings if 'aria-label="loss' in drawing)
    assert "loss of run over updates: train/loss ends at 1.5" in loss


def contrast(one, other):
    def light(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_stand_out_in_both_themes(slt, scored, tmp_path):
    slt("report", scored("zero"), "--out", tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    themes = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root[^{]*\{(.*?)\}", html, re.S)
    ]
    assert len(themes) == 4
    for theme in themes:
        for name in set(theme) - {"paper", "band", "line"}:
            for ground in ("paper", "band"):
                assert contrast(theme[name], theme[ground]) >= 4.5, (name, ground, theme)


def test_systems_of_different_clips_are_told_apart(slt, scored, tmp_path):
    slt("report", scored("all"), scored("some", "--skip-missing"), "--out", tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert "These systems were scored on different clips" in page.text
    assert "Comparison" not in page.text
    assert "Translations: all" in page.text


def test_a_training_alone_is_enough(slt, training, tmp_path):
    assert slt("report", training, "--out", tmp_path / "report.html").code == 0
    assert "Scores" not in Page((tmp_path / "report.html").read_text("utf-8")).text


def test_a_folder_with_nothing_in_it_is_refused(slt, tmp_path):
    outcome = slt("report", tmp_path, "--out", tmp_path / "report.html")
    assert outcome.code == 2
    assert "has nothing to report: neither results.json nor metrics.csv" in outcome.err


def test_curves_are_read_in_either_form(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train_loss,val/bleu\n0,1,2.5,\n0,2,,12.5\n0,3,1e999,\n0,4,torn", "utf-8")
    assert read_curves(path) == {"loss": {"train_loss": [(1, 2.5)]}, "bleu": {"val/bleu": [(2, 12.5)]}}
    assert read_curves(tmp_path / "none.csv") == {}
