# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
from __future__ import annotations

import dataclasses
import multiprocessing
import shutil
from pathlib import Path

import pytest

from slt.assets import published
from slt.assets.download import Patience
from slt.assets.published import PublishedFile, PublishedModel
from slt.assets.store import find_bundle
from slt.bundle import convert
from slt.bundle.convert import FETCHED, read_config
from slt.bundle.resolve import check_embeds, languages_of, make_available
from slt.core.errors import UserError
from slt.core.home import slt_home
from slt.pipeline.translator import Translator
from slt.text.languages import LANGUAGE_NAMES
from tests.bundles import LANGUAGES, bundle, clip, let_write, own_bundle
from tests.checkpoints import write_config, write_sources
from tests.servers import FileServer, drops, server


@pytest.fixture
def public(server: FileServer, bundle, tmp_path, monkeypatch):
    """A published model whose tiny files lie on a local server."""
    sources = write_sources(bundle, tmp_path / "published")
    server.files = {f"/x/{FETCHED[part]}": path.read_bytes() for part, path in sources.files.items()}
    files = tuple(
        PublishedFile(
            name=FETCHED[part],
            url=f"https://files.example/x/{FETCHED[part]}",
            about_bytes=path.stat().st_size,
            summary=part,
            to_translate=part != "text_encoder",
        )
        for part, path in sources.files.items()
    )
    model = PublishedModel(summary="tiny signs", licence="CC-BY-NC-4.0", notice="no commerce", files=files)
    for table in ("slt.assets.published.PUBLISHED", "slt.assets.published.FETCHABLE"):
        monkeypatch.setattr(table, {"sonar-asl": model})
    for table in ("slt.assets.store.PUBLISHED", "slt.assets.store.FETCHABLE", "slt.bundle.resolve.PUBLISHED"):
        monkeypatch.setattr(table, {"sonar-asl": model})
    tiny = read_config(write_config(bundle, tmp_path / "import.json"))
    monkeypatch.setattr(convert, "ImportConfig", lambda **said: dataclasses.replace(tiny, **said))
    monkeypatch.setattr("slt.assets.fetch.Patience", lambda: Patience(sleep=lambda _: None))
    monkeypatch.setenv("SLT_OFFLINE", "0")
    monkeypatch.setenv("SLT_MIRROR", server.url)
    return server


def test_a_published_model_is_fetched_and_imported_on_first_use(public, bundle, clip, capsys):
    translator = Translator("sonar-asl")
    assert translator.translate(clip).text() == Translator(bundle).translate(clip).text()
    told = capsys.readouterr().err
    order = ["not here yet", "tiny signs", "signhiera", "licence: no commerce", "accept it", "sha256"]
    assert [told.index(words) for words in order] == sorted(told.index(words) for words in order)
    card = find_bundle("sonar-asl").card
    assert (card.summary, card.licence) == ("tiny signs", "CC-BY-NC-4.0")
    assert not any("text_encoder" in path for path, _ in public.seen)

    asked = len(public.seen)
    make_available("sonar-asl")
    assert len(public.seen) == asked


def test_what_ranks_texts_is_fetched_only_when_it_is_needed(public, clip):
    translation = Translator("sonar-asl").translate(clip, rerank=True)
    best = translation.texts["eng_Latn"][0]
    assert best.agreement is not None
    assert best.confidence == pytest.approx(max(best.agreement, 0))


def test_a_model_without_a_text_encoder_cannot_rank(public, clip):
    make_available("sonar-asl")
    with pytest.raises(UserError, match="came without a text encoder") as caught:
        Translator("sonar-asl").translate(clip, rerank=True)
    assert "slt models fetch sonar-asl --with-text-encoder" in caught.value.fix
    bundle = find_bundle("sonar-asl").folder
    shutil.move(bundle, bundle.parent / "mine")
    with pytest.raises(UserError, match="the model mine came without a text encoder"):
        make_available("mine", text_encoder=True)


@pytest.mark.parametrize("kind", ["t5", "mbart"])
def test_no_import_makes_a_t5_or_mbart_rank_texts(own_bundle, clip, kind):
    let_write(own_bundle, kind)
    with pytest.raises(UserError, match=rf"writes with {kind}; ranking texts .* need SONAR's text models") as caught:
        Translator(own_bundle).translate(clip, rerank=True)
    assert "import" not in caught.value.fix
    assert Translator(own_bundle, device="cpu").translate(clip).text()


def test_only_what_was_taught_embeddings_is_said_to_make_them(public, bundle, own_bundle):
    check_embeds(bundle)
    check_embeds("sonar-asl")
    assert public.seen == []
    check_embeds(let_write(Path(shutil.copytree(own_bundle, own_bundle.parent / "mean")), "t5", source="sentence"))
    with pytest.raises(UserError, match=r"its mbart reads the sign encoder's states, .* was never trained"):
        check_embeds(let_write(own_bundle, "mbart"))


def test_a_first_use_that_failed_goes_on_the_next_time(public):
    victim = next(path for path in public.files if path.endswith(FETCHED["text_decoder"]))
    public.faults[victim] = [drops(1000)] * 50
    with pytest.raises(Exception, match=r"(?s)sonar_text_decoder\.pt"):
        make_available("sonar-asl")
    assert not (slt_home() / "bundles" / "sonar-asl").exists()
    public.faults.clear()
    make_available("sonar-asl")
    find_bundle("sonar-asl").verify()


def test_offline_says_what_to_do(public, monkeypatch):
    monkeypatch.setenv("SLT_OFFLINE", "1")
    with pytest.raises(UserError, match="SLT_OFFLINE") as caught:
        make_available("sonar-asl")
    assert public.seen == []
    assert "slt models fetch" in f"{caught.value.message} {caught.value.fix}"


def test_of_two_first_uses_at_once_one_waits(public, capfd):
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=make_available, args=("sonar-asl",)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert sum(path.endswith(FETCHED["text_decoder"]) for path, _ in public.seen) == 1
    find_bundle("sonar-asl").verify()


def test_languages_are_known_before_the_model_is(public, bundle):
    assert languages_of("sonar-asl") == tuple(LANGUAGE_NAMES)
    assert languages_of(bundle) == LANGUAGES
    assert public.seen == []


def test_other_models_are_left_to_the_store():
    make_available("demo", text_encoder=True)
    make_available("no-such-model")
    with pytest.raises(UserError, match="unknown model 'no-such-model'"):
        languages_of("no-such-model")
