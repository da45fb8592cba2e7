from __future__ import annotations

import os
import subprocess
import sys

import pytest

READ = "import os; from slt_cli.main import main; main(['--version']); print(os.environ['OMP_WAIT_POLICY'])"


@pytest.mark.parametrize(("set_by_user", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_without_spinning_unless_the_user_says_otherwise(set_by_user, found):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if set_by_user:
        environment["OMP_WAIT_POLICY"] = set_by_user
    command = [sys.executable, "-c", READ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == found


def test_the_command_line_loads_no_torch_before_it_has_asked():
    code = "import sys, slt_cli.main; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
