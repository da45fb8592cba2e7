from __future__ import annotations

import pytest

from slt.core.errors import UserError
from slt.sharing.licences import HUB_LICENCES, binds, settle, split_licence

OWN, UNKNOWN = "own (all of it began at random)", "unknown (began with x.pth)"


@pytest.mark.parametrize(
    ("parts", "chosen", "name", "hub_id"),
    [
        (["Apache-2.0"], None, "Apache-2.0", "apache-2.0"),
        (["Apache-2.0", OWN], None, "Apache-2.0", "apache-2.0"),
        (["Apache-2.0", "MIT"], None, "Apache-2.0 AND MIT", "other"),
        (["Apache-2.0", "MIT"], "mit", "MIT", "mit"),
        (["Apache-2.0"], "cc-by-nc-4.0", "CC-BY-NC-4.0", "cc-by-nc-4.0"),
        (["CC-BY-NC-4.0", "Apache-2.0"], None, "CC-BY-NC-4.0", "cc-by-nc-4.0"),
        (["CC-BY-NC-4.0", "Apache-2.0"], "cc-by-nc-4.0", "CC-BY-NC-4.0", "cc-by-nc-4.0"),
        (["CC-BY-NC-4.0", UNKNOWN], "CC-BY-NC-4.0", "CC-BY-NC-4.0", "cc-by-nc-4.0"),
        (["CC-BY-NC-4.0", "GPL-3.0"], None, "CC-BY-NC-4.0 AND GPL-3.0", "other"),
        (["house rules of a lab"], None, "house rules of a lab", "other"),
        ([OWN], "mit", "MIT", "mit"),
        ([UNKNOWN], "my own", "my own", "other"),
        (["unknown: see where the weights were published"], "mit", "MIT", "mit"),
    ],
)
def test_a_licence_follows_from_the_parts(parts, chosen, name, hub_id):
    licence = settle(parts, chosen)
    assert (licence.name, licence.hub_id) == (name, hub_id)
    assert licence.is_non_commercial == ("NC" in name)


@pytest.mark.parametrize(
    ("parts", "chosen", "match"),
    [
        (["CC-BY-NC-4.0"], "mit", r"made of what is under CC-BY-NC-4\.0, so it cannot be shared under MIT"),
        (["CC-BY-NC-4.0", "Apache-2.0"], "Apache-2.0", "cannot be shared under"),
        (["CC-BY-SA-4.0"], "cc-by-4.0", "cannot be shared under"),
        (["house rules of a lab"], "mit", "cannot be shared under"),
        (["CC-BY-NC-4.0", UNKNOWN], None, r"not known: unknown \(began with x\.pth\)"),
        ([UNKNOWN, "MIT"], None, "not known"),
        ([OWN], None, "it is your own, and has no licence yet"),
        (["CC-BY-NC-ND-4.0"], None, "forbids sharing"),
        (["CC-BY-ND-4.0"], "cc-by-nd-4.0", "forbids sharing"),
    ],
)
def test_a_licence_that_does_not_follow_is_refused(parts, chosen, match):
    with pytest.raises(UserError, match=match):
        settle(parts, chosen)


def test_cards_join_licences():
    assert split_licence("mit AND CC-BY-NC-4.0 AND a lab's") == ("MIT", "CC-BY-NC-4.0", "a lab's")
    assert [part for part in (*HUB_LICENCES.values(), OWN, UNKNOWN, "a lab's") if binds(part)][-1] == "a lab's"
    assert not binds("Apache-2.0")
