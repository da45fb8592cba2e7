from __future__ import annotations

import math

import pytest
import torch

from slt.core.errors import SltError
from slt.text.check import self_test
from slt.text.sonar_text import SonarTextModel


@pytest.mark.parametrize("engine", ["fairseq2", "transformers"])
def test_the_self_test_runs_and_leaves_the_random_state_alone(engine: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = torch.get_rng_state()

    assert self_test(engine) == "tiny SONAR encoder and decoder: 3 texts embedded, each decoded in 2 languages"
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_the_self_test_notices_wrong_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SonarTextModel, "decode", lambda *_, **__: [])
    with pytest.raises(SltError, match="decoder returned wrong texts"):
        self_test("transformers")
    monkeypatch.setattr(SonarTextModel, "embed", lambda *_, **__: torch.full((3, 16), math.nan))
    with pytest.raises(SltError, match="encoder returned wrong embeddings"):
        self_test("transformers")
