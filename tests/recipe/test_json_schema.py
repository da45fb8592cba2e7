"""The schema that editors read: fresh, taking every shipped recipe, and refusing what a typing hand gets wrong."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
import yaml

from slt.core.registry import FRONTENDS
from slt.recipe.json_schema import FILE, as_text
from slt.recipe.load import find_recipe, shipped_recipes

SCHEMA = json.loads(FILE.read_text("utf-8"))


def complaints(recipe):
    validator = jsonschema.validators.validator_for(SCHEMA)
    validator.check_schema(SCHEMA)
    return [error.message for error in validator(SCHEMA).iter_errors(recipe)]


def read(name):
    text = find_recipe(name).read_text("utf-8")
    return yaml.safe_load(re.sub(r"\b(\d+)e-", r"\1.0e-", text))  # a number in YAML 1.2, which editors read


def test_the_schema_is_fresh():
    assert FILE.read_text("utf-8") == as_text(), "run `make docs`"


@pytest.mark.parametrize("name", shipped_recipes())
def test_it_takes_every_shipped_recipe_and_each_names_it_for_editors(name):
    first = find_recipe(name).read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../recipe.schema.json"
    assert (find_recipe(name).parent / "../recipe.schema.json").resolve() == FILE
    assert complaints(read(name)) == []


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("optim", {"lrr": 1e-4}),
        ("optim", {"warmup_steps": "many"}),
        ("encoder", {"kind": "sonar-t6"}),
        ("extractor", {"kind": "no-such", "bundle": "demo"}),
        ("trainer", {"monitor": "bleurt"}),
        ("data", {"langs": "eng_Latn"}),
    ],
)
def test_it_refuses_unknown_keys_kinds_and_types(part, change):
    recipe = read("synthetic")
    recipe[part] = recipe[part] | change
    assert complaints(recipe)


def test_a_missing_part_is_named():
    recipe = read("synthetic")
    del recipe["decoder"]
    assert complaints(recipe) == ["'decoder' is a required property"]


def test_every_key_says_what_it_means_and_extractors_of_ones_own_are_known():
    groups = [SCHEMA, *SCHEMA["$defs"].values()]
    silent = [key for group in groups for key, about in group["properties"].items() if not about.get("description")]
    assert silent == []
    kinds = [about["properties"].get("kind", {}) for about in SCHEMA["$defs"].values()]
    known = {kind.get("const") for kind in kinds} | {one for kind in kinds for one in kind.get("enum", ())}
    assert set(FRONTENDS) <= known
