"""Load an extractor by name; ``slt.core.registry.FRONTENDS`` is the table."""

from __future__ import annotations

from slt.assets.store import DEMO, find_bundle
from slt.core.errors import UserError
from slt.core.registry import FRONTENDS, resolve
from slt.frontend.base import Frontend, Settings


def make_frontend(kind: str | None, settings: Settings) -> Frontend:
    """Return the extractor called ``kind``; None: that of the bundle that the settings name. Its model is not loaded.

    Raises:
        UserError: no such extractor, model, device or dtype; or a setting that it does not take.
    """
    kind = kind or find_bundle(settings.model or DEMO).card.extractor.kind
    frontend: Frontend = resolve(FRONTENDS, kind, what="extractor")(settings)
    return frontend


def load_frontend(kind: str | None, settings: Settings) -> Frontend:
    """Load an extractor whose features go into one store; arguments as for ``make_frontend``.

    Raises:
        UserError: as for ``make_frontend``; weights that do not fit; or an extractor of two streams, of which one must
            be chosen.
    """
    frontend = make_frontend(kind, settings)
    kinds = [stream.kind for stream in frontend.streams]
    if len(kinds) > 1:
        raise UserError(
            f"{settings.model} has two streams of features, {' and '.join(kinds)}; a store holds one",
            fix=f"run it twice: with --extractor {kinds[0]}, and with --extractor {kinds[1]} and another --out",
        )
    return frontend.load()
