"""What starts with every command is imported; what is never used is not."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files

import pytest

NEVER_USED = {"timm", "torchvision", "wandb", "s3fs", "aiohttp", "transformers", "tiktoken", "huggingface_hub"}
COMPILER = {"torch._dynamo", "sympy", "triton"}
SCRIPT = """
import json, sys
from slt_cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]))
"""


def loaded(*words: object) -> set[str]:
    """Run ``slt`` in a process of its own; return which modules it had imported in the end."""
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.slow
def test_translating_imports_neither_what_is_never_used_nor_a_compiler():
    clip = next((files("slt.demo") / "clips" / "videos" / "test").iterdir())
    modules = loaded("translate", clip)
    assert {"torch", "fairseq2", "sonar"} <= modules
    assert not (NEVER_USED | COMPILER) & modules


@pytest.mark.slow
def test_training_against_sonar_imports_nothing_that_is_never_used():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, slt.train.run; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(done.stdout.split())
    assert {"torch", "lightning"} <= modules
    assert not NEVER_USED & modules


@pytest.mark.slow
def test_a_quick_doctor_imports_torch_elsewhere_and_once():
    assert not {"torch", "numpy"} & loaded("doctor", "--quick")
