"""Licences of shared models: what a model was made of decides what it may be given away under."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from slt.core.errors import UserError

PERMISSIVE = ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Unlicense", "CC0-1.0", "CC-BY-4.0")
"""What is made of these may be given away under another licence, with their notices kept."""

BINDING = (
    *("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-SA-4.0", "CC-BY-NC-3.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-2.0"),
    *("GPL-2.0", "GPL-3.0", "LGPL-3.0", "AGPL-3.0", "MPL-2.0", "OpenRAIL"),
)
"""What is made of these stays under the same licence; so does what is made of one that is not known here."""

HUB_LICENCES: Mapping[str, str] = MappingProxyType({name.lower(): name for name in (*PERMISSIVE, *BINDING)})
"""The hub's identifier → the SPDX name."""

OTHER = "other"
OWN, UNKNOWN = "own (", "unknown"
"""What the licence of a part begins with that began at random, or of which nobody noted it."""

_NO_DERIVATIVES = re.compile(r"\bCC-BY(-NC)?-ND\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Licence:
    """What a model is given away under.

    Attributes:
        name: an SPDX name, or several joined by AND.
        parts: licences of what it was made of, its own included.
    """

    name: str
    parts: tuple[str, ...]

    @property
    def hub_id(self) -> str:
        """The hub's identifier; ``other`` for what it has none for."""
        return self.name.lower() if self.name.lower() in HUB_LICENCES else OTHER

    @property
    def is_non_commercial(self) -> bool:
        """Whether commercial use is forbidden."""
        return "-NC" in self.name


def split_licence(text: str) -> tuple[str, ...]:
    """Return the licences that a card joins by AND, those known by their SPDX names."""
    each = [part.strip() for part in text.split(" AND ") if part.strip()]
    return tuple(HUB_LICENCES.get(part.lower(), part) for part in each)


def binds(part: str) -> bool:
    """Return whether what is made of a part stays under the part's licence."""
    return part not in PERMISSIVE and not part.startswith((OWN, UNKNOWN))


def settle(parts: Iterable[str], chosen: str | None) -> Licence:
    """Return the licence that a model made of ``parts`` is given away under.

    Args:
        parts: licences of all it was made of; "own (…)" is what began at random, "unknown (…)" what nobody noted.
        chosen: what its author asks for; None: what follows from the parts.

    Raises:
        UserError: a part may not be given away, or not under ``chosen``; or nothing follows, and none was chosen.
    """
    each = tuple(dict.fromkeys(part for part in parts if not part.startswith(OWN)))
    unknown = [part for part in each if part.startswith(UNKNOWN)]
    known = [part for part in each if part not in unknown]
    if closed := [part for part in known if _NO_DERIVATIVES.search(part)]:
        raise UserError(f"it was made of what is under {', '.join(closed)}, which forbids sharing what is made of it")
    wanted = HUB_LICENCES.get(chosen.lower(), chosen) if chosen else None
    binding = [part for part in known if binds(part)]
    if binding:
        must = " AND ".join(binding)
        if wanted not in (None, must):
            raise UserError(f"it was made of what is under {must}, so it cannot be shared under {wanted}", fix=_keep())
        if unknown and wanted is None:
            raise _nobody_noted(unknown, must)
        return Licence(name=must, parts=each)
    if wanted is None and (unknown or not known):
        raise _nobody_noted(unknown, "apache-2.0")
    return Licence(name=wanted or " AND ".join(known), parts=each)


def _keep() -> str:
    return "share it without --licence, under the one it inherits"


def _nobody_noted(unknown: list[str], example: str) -> UserError:
    what = f"its licence is not known: {', '.join(unknown)}" if unknown else "it is your own, and has no licence yet"
    return UserError(what, fix=f"give the one you may share it under, such as --licence {example.lower()}")
