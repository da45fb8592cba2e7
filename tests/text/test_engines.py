"""Which library computes SONAR's text models, and that both compute the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from docs.house import modules
from slt.core.errors import UserError
from slt.core.registry import TEXT_ENGINES
from slt.text import engines
from slt.text.config import SonarTextConfig
from slt.text.engines import sonar_text
from slt.text.m2m100.model import M2M100Text
from slt.text.sonar.model import SonarText

BLOCKED = """
import sys
from importlib.abc import MetaPathFinder

class Nothing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fairseq2", "fairseq2n", "sonar"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing())
"""


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """Let the choice of the engine be made anew, in each test and after it."""

    def forget() -> None:
        engines.available.cache_clear()
        engines.why_not_fairseq2.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fairseq2 that is installed, beside a torch it was not made for."""
    real = engines.import_module

    def refuse(name: str) -> Any:
        if name == "slt.text.sonar.model":
            raise RuntimeError("fairseq2 requires PyTorch 2.9.1,\nbut found 2.11.0")
        return real(name)

    monkeypatch.setattr(engines, "import_module", refuse)


def test_fairseq2_is_the_default_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert sonar_text() is sonar_text("fairseq2") is SonarText
    assert sonar_text("transformers") is M2M100Text
    assert {SonarText.engine, M2M100Text.engine} == set(TEXT_ENGINES)
    assert engines.expected(None) == "fairseq2"
    assert engines.expected("transformers") == "transformers"
    assert capsys.readouterr().err == ""


def test_another_name_is_refused() -> None:
    with pytest.raises(UserError, match="unknown text engine 'fairseq'; known: fairseq2, transformers"):
        sonar_text("fairseq")


def test_where_fairseq2_does_not_load_the_other_is_taken_and_told(
    broken: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sonar_text() is sonar_text() is M2M100Text
    assert capsys.readouterr().err == (
        "warning: fairseq2 is installed but cannot be imported, text engine transformers: "
        "RuntimeError: fairseq2 requires PyTorch 2.9.1,\n"
    )


def test_where_fairseq2_is_absent_that_is_told(
    broken: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(name: str) -> str:
        raise engines.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(engines.metadata, "version", absent)
    assert sonar_text() is M2M100Text
    assert engines.expected(None) == "transformers"
    assert capsys.readouterr().err == "fairseq2: not here, text engine transformers\n"


def test_a_fairseq2_that_was_asked_for_must_load(broken: None) -> None:
    with pytest.raises(UserError, match="the text engine fairseq2 cannot be imported: RuntimeError") as caught:
        sonar_text("fairseq2")
    assert caught.value.fix is not None
    assert "--text-engine transformers" in caught.value.fix


@pytest.mark.slow
def test_everything_else_can_be_imported_without_fairseq2() -> None:
    names = [name for name in modules() if not f"{name}.".startswith("slt.text.sonar.")]
    code = f"{BLOCKED}\nfrom importlib import import_module\nfor name in {names}:\n    import_module(name)\n"
    code += "from slt.text.engines import sonar_text\nprint(sonar_text().__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "M2M100Text\n"


def test_both_learn_the_same(golden: dict[str, Any]) -> None:
    """Losses and gradients, of the text encoder through the embedding too."""
    weights = golden["decoder"], golden["tokenizer"], golden["encoder"]
    texts, langs = golden["targets"]["eng_Latn"][:6], ["eng_Latn"] * 6
    losses, gradients = [], []
    for kind in (SonarText, M2M100Text):
        model = kind.load(golden["config"], *weights)  # in evaluation mode: no dropout
        total, count = model.loss(model.embed_batch(texts, langs), texts[::-1], langs, label_smoothing=0.1)
        (total / count).backward()
        losses.append((total / count).detach())
        for part, module in (("decoder", model.decoder), ("encoder", model.encoder)):
            named = {model.stored_name(part, name): value.grad for name, value in module.named_parameters()}
            gradients.append(named)
    torch.testing.assert_close(*losses, rtol=0, atol=1e-5)
    for ours, theirs in zip(gradients[2:], gradients[:2], strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_in_training_mode_too_where_nothing_is_dropped(config: SonarTextConfig, tokenizer_path: Path) -> None:
    stack = replace(config.encoder, dropout=0.0)
    still = replace(config, encoder=stack, decoder=stack)
    first = SonarText.build(still, tokenizer_path)
    second = M2M100Text.load(still, first.decoder_weights(), tokenizer_path, first.text_encoder_weights()).train()
    texts, langs = ["we go hiking", "ich liebe das Programmieren"], ["eng_Latn", "deu_Latn"]
    found = [model.loss(model.embed_batch(texts, langs), texts, langs)[0].item() for model in (first.train(), second)]
    assert found[0] == pytest.approx(found[1], abs=1e-4)  # a sum over 20 tokens


def test_weights_go_from_one_to_the_other_and_back(golden: dict[str, Any]) -> None:
    ours = M2M100Text.load(golden["config"], golden["decoder"], golden["tokenizer"], golden["encoder"])
    theirs = SonarText.load(golden["config"], ours.decoder_weights(), golden["tokenizer"], ours.text_encoder_weights())
    for found, expected in (
        (theirs.decoder_weights(), golden["decoder"]),
        (theirs.text_encoder_weights(), golden["encoder"]),
    ):
        assert all(torch.equal(value, expected[name]) for name, value in found.items())
