"""The files for contributors and their services name what there is, and keep to their schemas."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

ROOT = Path(__file__).parents[1]
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
KINDS = {
    "github-workflows": sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    "github-issue-forms": [path for path in TEMPLATES if path.name != "config.yml"],
    "github-issue-config": [path for path in TEMPLATES if path.name == "config.yml"],
    "dependabot": [ROOT / ".github" / "dependabot.yml"],
    "citation-file-format": [ROOT / "CITATION.cff"],
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_files_for_services_keep_to_their_schemas(kind):
    assert KINDS[kind]
    schema = get_builtin_schema(f"vendor.{kind}")
    checker = jsonschema.validators.validator_for(schema)(schema)
    for path in KINDS[kind]:
        loaded = yaml.safe_load(path.read_text("utf-8"))
        loaded = {"on" if key is True else key: value for key, value in loaded.items()}  # YAML 1.1 takes it for a truth
        assert [error.message for error in checker.iter_errors(loaded)] == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_pages_name_files_names_and_targets_that_exist(page):
    text = read(page)
    named = re.findall(r"`((?:src|cli|tests|docs|docker)/[\w./]+)`", text) + re.findall(
        r"\]\((?!https?:)([^)#]+)", text
    )
    assert not [name for name in named if not (ROOT / name).exists()]
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.M)
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= set(targets)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("OPENASL", "src/slt/data/corpora/registry.py"),
        ("FRONTENDS", "src/slt/core/registry.py"),
        ("contrastive", "src/slt/train/objectives.py"),
        ("OBJECTIVES", "src/slt/train/objectives.py"),
        ("Contrastive", "src/slt/recipe/parts.py"),
        ("check_verb", "src/slt/recipe/load.py"),
        ("metrics_for", "src/slt/evaluate/text_metrics.py"),
        ("ter_statistics", "src/slt/evaluate/overlap.py"),
    ],
)
def test_what_is_to_be_copied_is_there(name, file):
    assert file in read("CONTRIBUTING.md")
    assert re.search(rf"^(def |class |){name}\b", read(file), re.M)


def test_reports_of_bugs_ask_for_what_doctor_says():
    for path in KINDS["github-issue-forms"]:
        fields = {field["id"]: field for field in yaml.safe_load(path.read_text("utf-8"))["body"]}
        assert "slt doctor --json" in fields["doctor"]["attributes"]["label"]


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])


def test_every_python_is_tested_and_lint_uses_the_environments_tools():
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    declared = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    assert jobs["test"]["strategy"]["matrix"]["python"] == declared
    hooks = [hook for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]
    tools = [hook["entry"].split()[0] for hook in hooks if "entry" in hook]
    assert not [tool for tool in tools if not Path(sys.prefix, "bin", Path(tool).name).exists()]
