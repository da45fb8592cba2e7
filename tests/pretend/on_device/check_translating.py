"""Translating on the pretend accelerator: sign encoders, text models of all engines, and the commands."""

from __future__ import annotations

import json
from contextlib import closing
from types import SimpleNamespace

import pytest
import torch

from slt.core.device import send
from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.demo.spelling_plan import NAME as SPELLING
from slt.evaluate import model as evaluate_module
from slt.evaluate.from_features import FeatureTranslator
from slt.evaluate.model import ClipTranslator
from slt.frontend.clip import ClipSource
from slt.pipeline import texts as texts_module
from slt.pipeline import translator as translator_module
from slt.pipeline.result import Failure
from slt.pipeline.translator import Translator
from slt.text.decoder import Hypothesis
from slt_cli.main import main
from tests.bundles import LANGUAGES, let_write
from tests.text.hf_models import KINDS, LANGS, make_output, make_text


def texts(found: dict[str, list[Hypothesis]]) -> dict[str, list[str]]:
    return {lang: [one.text for one in hypotheses] for lang, hypotheses in found.items()}


def sizes_of_searches(monkeypatch) -> list[int]:
    """Return the numbers of clips of the searches to come, filled as they are made."""
    sizes: list[int] = []
    genuine = texts_module._search

    def search(decoder, clips, langs, **settings):
        sizes.append(len(clips))
        return genuine(decoder, clips, langs, **settings)

    monkeypatch.setattr(texts_module, "_search", search)
    return sizes


@pytest.mark.parametrize("engine", ["fairseq2", "transformers"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_translation_is_that_of_the_cpu(bundle, clip, engine, dtype, device):
    settings = {"dtype": dtype, "text_engine": engine}
    expected = Translator(bundle, device="cpu", **settings).translate(clip, LANGUAGES, nbest=2)
    translator = Translator(bundle, **settings)
    found = translator.translate(clip, LANGUAGES, nbest=2)
    assert next(translator.load().encoder.parameters()).device.type == "pretend"
    torch.testing.assert_close(found.embedding, expected.embedding, rtol=0, atol=1e-5 if dtype == "float32" else 0.05)
    if dtype == "float32":
        assert texts(found.texts) == texts(expected.texts)


def test_readings_are_ranked_and_sentences_found(bundle, clip):
    expected = Translator(bundle, device="cpu").translate(clip, rerank=True)
    translator = Translator(bundle)
    assert texts(translator.translate(clip, rerank=True).texts) == texts(expected.texts)
    assert list(translator.segments(clip))


@pytest.mark.parametrize("which", ["keypoint_bundle", "siglip_bundle", "both_bundle"])
def test_other_encoders_translate(which, drawn, request):
    video = sorted(drawn.parent.rglob("*.mp4"))[0]
    model = request.getfixturevalue(which)
    expected = Translator(model, device="cpu").translate(video)
    found = Translator(model).translate(video)
    torch.testing.assert_close(found.embedding, expected.embedding, rtol=0, atol=1e-4)
    assert texts(found.texts) == texts(expected.texts)


@pytest.mark.parametrize(
    ("kind", "dtype"), [*((kind, torch.float32) for kind in KINDS), ("t5", torch.bfloat16), ("mbart", torch.bfloat16)]
)
def test_decoders_of_transformers_translate_score_and_learn(kind, dtype):
    text, output = make_text(kind), make_output(5, 3)
    expected = text.translate(output, LANGS[kind], max_tokens=12)
    text = text.to("pretend", dtype)
    there = EncoderOutput(
        **{
            name: send(value, torch.device("pretend")).to(dtype if value.is_floating_point() else value.dtype)
            for name, value in vars(output).items()
        }
    )
    found = text.translate(there, LANGS[kind], max_tokens=12)
    if dtype == torch.float32:
        assert [texts(one) for one in found] == [texts(one) for one in expected]
    text.loss(there, ["we go", "is the weather"], [LANGS[kind][0]] * 2)[0].backward()


@pytest.mark.parametrize("kind", ["t5", "mbart"])
def test_a_bundle_with_a_decoder_of_transformers(own_bundle, clip, kind):
    let_write(own_bundle, kind)
    expected = Translator(own_bundle, device="cpu").translate(clip)
    assert texts(Translator(own_bundle).translate(clip).texts) == texts(expected.texts)


def test_the_shipped_model_reads_spelled_words_and_its_decoder_learns(drawn):
    video = sorted(drawn.parent.rglob("*.pose"))[0]
    expected = Translator(SPELLING, device="cpu").translate(video)
    translator = Translator(SPELLING)
    assert texts(translator.translate(video).texts) == texts(expected.texts)
    loaded = translator.load()
    features = FeatureBatch.of([torch.randn(40, 225), torch.randn(31, 225)]).to(torch.device("pretend"))
    loaded.decoder.loss(loaded.encoder(features), ["AB", "C"]).backward()


def test_a_folder_is_translated_in_groups_in_its_order(bundle, videos, tmp_path, monkeypatch):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    named = [*videos[:4], broken, *videos[4:6]]
    expected = list(Translator(bundle, device="cpu").translate_many(named))
    sizes = sizes_of_searches(monkeypatch)
    translator, told = Translator(bundle), []
    found = list(translator.translate_many(named, progress=lambda *what: told.append(what)))
    assert sizes == [1, 2, 3]
    assert [one.video for one in found] == [str(video) for video in named]
    assert isinstance(found[4], Failure)
    for one, alone in zip(found, expected, strict=True):
        if not isinstance(one, Failure):
            assert texts(one.texts) == texts(alone.texts)
            assert list(one.timings) == list(alone.timings)
    assert [what for what in told if what[0] == "texts"] == [("texts", n, of) for of in (2, 3) for n in (0, of)]
    sizes.clear()
    assert len(list(translator.translate_many(named[:1], spans=[(0.0, 0.2), (0.2, 0.4), (0.1, 0.3)]))) == 3
    assert sizes == [1, 2]


def test_the_commands(bundle, videos, tmp_path, capsys):
    engine = "transformers"
    words = ["translate", *videos[:2], "--model", bundle, "--json", "--text-engine", engine, "--dtype", "bfloat16"]
    assert main([*map(str, words)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 2
    manifest = write_manifest(tmp_path / "m.tsv", videos[:3])
    words = ["evaluate", "--model", bundle, "--manifest", manifest, "--out", tmp_path / "e", "--text-engine", engine]
    assert main([*map(str, words)]) == 0, capsys.readouterr().err
    words = ["embed-text", manifest, "--model", bundle, "--out", tmp_path / "emb", "--text-engine", engine]
    assert main([*map(str, words)]) == 0, capsys.readouterr().err


def write_manifest(path, videos):
    lines = ["id\tvideo\ttext\tlang", *(f"{video.stem}\t{video}\twe go hiking\teng_Latn" for video in videos)]
    path.write_text("\n".join(lines) + "\n")
    return path


def hypotheses(out):
    return [row["hypothesis"] for row in json.loads((out / "results.json").read_text())["sentences"]]


def test_stored_features_are_evaluated_several_clips_at_once(bundle, videos, tmp_path, monkeypatch):
    manifest = write_manifest(tmp_path / "m.tsv", videos[:6])
    words = ["extract-features", manifest, "--model", bundle, "--out", tmp_path / "s"]
    assert main([*map(str, words)]) == 0
    monkeypatch.setattr(texts_module, "CLIPS_ON_CPU", 4)
    sizes = []
    genuine = FeatureTranslator._from_many

    def from_many(translator, clips, seconds):
        sizes.append(len(clips))
        return genuine(translator, clips, seconds)

    monkeypatch.setattr(FeatureTranslator, "_from_many", from_many)
    for device in ("cpu", "auto"):
        words = ["evaluate", "--model", bundle, "--manifest", manifest, "--features", tmp_path / "s"]
        assert main([*map(str, words), "--out", str(tmp_path / device), "--device", device]) == 0
    assert sizes == [4, 2, 6]
    assert hypotheses(tmp_path / "auto") == hypotheses(tmp_path / "cpu")


def test_videos_are_evaluated_while_the_next_ones_are_read(bundle, videos, tmp_path, monkeypatch):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    manifest = write_manifest(tmp_path / "m.tsv", [*videos[:4], broken])
    alone = []
    genuine = ClipTranslator._from_video
    monkeypatch.setattr(
        ClipTranslator, "_from_video", lambda self, opener, name: alone.append(name) or genuine(self, opener, name)
    )
    for device in ("cpu", "auto"):
        words = ["evaluate", "--model", bundle, "--manifest", manifest, "--out", tmp_path / device, "--device", device]
        assert main([*map(str, words)]) == 3
    assert alone == ["v0", "v1", "v2", "v3", "broken", "broken"]
    assert hypotheses(tmp_path / "auto") == hypotheses(tmp_path / "cpu")


def test_a_stop_leaves_the_texts_of_what_was_read(bundle, videos, tmp_path, monkeypatch):
    manifest, stop = write_manifest(tmp_path / "m.tsv", videos[:5]), tmp_path / "stop"
    genuine = evaluate_module.many_clip_features

    def interrupted(clips, frontend, **settings):
        with closing(genuine(clips, frontend, **settings)) as outcomes:
            for number, outcome in enumerate(outcomes, 1):
                yield outcome
                if number == 2:  # one is translated, the other waits for a third
                    stop.touch()
                    return

    words = ["evaluate", "--model", bundle, "--manifest", manifest, "--out", tmp_path / "e"]
    with monkeypatch.context() as patch:
        patch.setattr(evaluate_module, "many_clip_features", interrupted)
        patch.setenv("SLT_STOP_FILE", str(stop))
        assert main([*map(str, words)]) == 75
    read = []
    monkeypatch.setattr(
        evaluate_module,
        "many_clip_features",
        lambda clips, frontend, **settings: read.extend(clips) or genuine(clips, frontend, **settings),
    )
    assert main([*map(str, words)]) == 0
    assert len(read) == 3
    assert len(hypotheses(tmp_path / "e")) == 5


def test_sentences_wait_for_each_other_only_if_they_may(bundle, clip, monkeypatch):
    sentences = [SimpleNamespace(start_s=0.4 * n, end_s=0.4 * n + 0.3) for n in range(4)]
    monkeypatch.setattr(translator_module, "find_sentences", lambda crops, **_: sentences)
    monkeypatch.setattr(
        Translator,
        "_open_sentence",
        lambda self, video, one, whole: self.frontend.open(
            ClipSource.of(video, start_s=one.start_s, end_s=one.end_s), signer=whole.signer
        ),
    )
    sizes = sizes_of_searches(monkeypatch)
    found = [list(Translator(bundle).segments(clip, together=together)) for together in (True, False)]
    assert sizes == [1, 2, 1] + [1] * 4
    assert [texts(one.texts) for one in found[0]] == [texts(one.texts) for one in found[1]]
    assert [one.start_s for one in found[0]] == [one.start_s for one in sentences]
