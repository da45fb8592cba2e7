"""Load recipes from YAML, with keys overridden on the command line."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.registry import did_you_mean
from slt.recipe.extractors import SignHieraExtractor
from slt.recipe.parts import refuse
from slt.recipe.schema import VERBS, Recipe


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as everywhere else, and a key that stands twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(twice)} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def load_recipe(name_or_path: str, verb: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe, change keys of it, and check it; without torch.

    Args:
        name_or_path: a YAML file, or the name of a shipped recipe.
        verb: the trainer it is for, one of ``VERBS``.
        changes: ``optim.lr=1e-4`` and the like; values are YAML.

    Raises:
        UserError: no such recipe, no YAML, or mistakes, all reported together.
    """
    path = find_recipe(name_or_path)
    values = _read(path)
    for change in changes:
        _set(values, change)
    recipe = parse(Recipe, values, where=name_or_path)
    check_verb(recipe, verb)
    return recipe


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with the package, by name."""
    folder = Path(str(resources.files("slt"))) / "recipe" / "shipped"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name_or_path: str) -> Path:
    """Return where a recipe lies.

    Raises:
        UserError: there is none of this name or path.
    """
    shipped = shipped_recipes()
    path = Path(name_or_path).expanduser()
    if path.is_file() or name_or_path not in shipped:
        if not path.is_file():
            raise UserError(
                f"no recipe {name_or_path!r}: neither a file, nor one of the shipped: {', '.join(shipped)}",
                fix=did_you_mean(name_or_path, shipped),
            )
        return path
    return shipped[name_or_path]


def check_verb(recipe: Recipe, verb: str) -> None:
    """Check that a recipe is one for this trainer.

    Raises:
        UserError: it is not; every reason is reported.
    """
    if verb not in VERBS:
        raise ValueError(f"{verb} is none of {VERBS}")
    extractor, encoder, decoder = recipe.extractor, recipe.encoder, recipe.decoder
    objective = recipe.objective.kind
    from_video = not (recipe.data.train.features and recipe.data.val.features)
    trains_extractor = isinstance(extractor, SignHieraExtractor) and extractor.frozen < 1
    translates = verb == "train-translator"
    refuse(
        (verb == "train-features" and not trains_extractor, "train-features needs an extractor with frozen below 1"),
        (verb == "train-features" and not from_video, "train-features learns from videos: remove data.*.features"),
        (
            verb in ("train-encoder", "train-translator") and trains_extractor,
            f"{verb} leaves the extractor as it is: set extractor.frozen=1, or use train-features",
        ),
        (verb == "train-encoder" and (encoder is None or encoder.frozen), "train-encoder needs an encoder to train"),
        (verb != "train-decoder" and encoder is None, f"{verb} needs an encoder"),
        (
            verb == "train-decoder" and decoder.train == "frozen",
            "train-decoder needs decoder.train lora or full",
        ),
        (
            verb == "train-decoder" and encoder is not None and not encoder.frozen,
            "train-decoder leaves the encoder as it is: set encoder.frozen=true",
        ),
        (
            translates and decoder.kind == "sonar",
            f"train-translator needs a t5 or mbart decoder, or another of transformers, found {decoder.kind}; "
            "train-encoder takes that",
        ),
        (
            verb in ("train-features", "train-encoder", "train-decoder") and decoder.kind != "sonar",
            f"{verb} is for SONAR's decoder; a {decoder.kind} is trained by train-translator",
        ),
        (
            verb == "train-vlp" and objective != "contrastive",
            f"train-vlp needs objective contrastive, found {objective}",
        ),
        (
            verb != "train-vlp" and objective == "contrastive",
            f"{verb} cannot learn objective contrastive: train-vlp can",
        ),
        (
            verb == "train-vlp" and (encoder is None or encoder.frozen or trains_extractor),
            "train-vlp trains the encoder and nothing else",
        ),
        (
            encoder is not None and from_video and extractor is None,
            "features from videos need an extractor in the recipe",
        ),
    )


def to_yaml(recipe: Recipe) -> str:
    """Write a recipe, every key resolved, as ``load_recipe`` reads it."""
    return yaml.safe_dump(plain(asdict(recipe)), sort_keys=False, allow_unicode=True, width=100)


def plain(value: Any) -> Any:
    """Return nested settings as YAML and JSON have them: tuples as lists."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text("utf-8"), _Loader)  # a SafeLoader
    except OSError as error:
        raise UserError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} is no recipe: expected keys and values, found {values!r:.80}")
    return values


def _set(values: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError(f"--set {change}: expected key=value", fix="for example --set optim.lr=1e-4")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise UserError(f"--set {change}: the value is not YAML: {' '.join(str(error).split())}") from error
    *path, last = key.split(".")
    for name in path:
        if values.get(name) is None:
            values[name] = {}
        values = values[name]
        if not isinstance(values, dict):
            raise UserError(f"--set {change}: {name} is no group of keys but {values!r}")
    values[last] = value
