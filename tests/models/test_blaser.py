from __future__ import annotations

import pytest
import torch

from slt.core.errors import UserError
from slt.models.blaser import Blaser, BlaserConfig
from slt.models.fitting import load_model

EMBEDDINGS = torch.randn(3, 5, 1024, generator=torch.Generator().manual_seed(1)) * 0.2


@pytest.mark.parametrize(("arch", "with_reference"), [("COMET", True), ("QE", False)])
def test_it_judges_as_sonars_own(arch, with_reference, tmp_path):
    from sonar.models.blaser.config import BlaserConfig as SonarConfig
    from sonar.models.blaser.factory import _create_blaser_model

    torch.manual_seed(2)
    theirs = _create_blaser_model(SonarConfig(input_form=arch)).eval()
    torch.save({"model": theirs.state_dict()}, tmp_path / "model.pt")
    ours = load_model(Blaser, BlaserConfig(with_reference=with_reference), tmp_path / "model.pt")
    source, hypothesis, reference = EMBEDDINGS
    with torch.no_grad():
        expected = theirs(src=source, mt=hypothesis, ref=reference)[:, 0]
        found = ours(source, hypothesis, reference if with_reference else None)
    assert expected.std() > 1e-3
    assert torch.allclose(found, expected, rtol=0, atol=1e-6)


def test_what_fails_has_no_direction():
    model = Blaser(BlaserConfig(with_reference=False, embedding_dim=4, hidden_dims=(3,))).eval()
    assert torch.isfinite(model(torch.zeros(1, 4), torch.ones(1, 4))).all()


@pytest.mark.parametrize("with_reference", [True, False])
def test_a_reference_is_given_where_it_is_wanted(with_reference):
    model = Blaser(BlaserConfig(with_reference=with_reference, embedding_dim=4, hidden_dims=(3,)))
    rows = torch.ones(1, 4)
    with pytest.raises(ValueError, match=r"found (a|no) reference, expected (none|one): set with_reference to match"):
        model(rows, rows, None if with_reference else rows)


def test_weights_of_the_other_kind_are_refused(tmp_path):
    shape = {"embedding_dim": 4, "hidden_dims": (3,)}
    torch.save(Blaser(BlaserConfig(with_reference=True, **shape)).state_dict(), tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"mlp\.1\.weight"):
        load_model(Blaser, BlaserConfig(with_reference=False, **shape), tmp_path / "model.pt")
