"""Complete values on the command line: shipped recipes, models that have a name, languages.

Where nothing fits, the shell offers files.
"""

from __future__ import annotations


def recipes(incomplete: str) -> list[str]:
    """Return the shipped recipes whose names begin like this."""
    from slt.recipe.load import shipped_recipes

    return [name for name in shipped_recipes() if name.startswith(incomplete)]


def models(incomplete: str) -> list[str]:
    """Return the models, ready or published, whose names begin like this."""
    from slt.assets.published import PUBLISHED
    from slt.assets.store import list_bundles

    return [name for name in dict.fromkeys([*list_bundles(), *PUBLISHED]) if name.startswith(incomplete)]


def languages(incomplete: str) -> list[tuple[str, str]]:
    """Return the FLORES-200 codes that begin like this, each with the language's name."""
    from slt.text.languages import LANGUAGE_NAMES

    return [(code, name) for code, name in LANGUAGE_NAMES.items() if code.startswith(incomplete)]
