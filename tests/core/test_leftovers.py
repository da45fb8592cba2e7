"""What killed processes left behind goes away with the next write, and what live ones write stays."""

import os
import subprocess
import sys
import time

import pytest

from slt.core import leftovers
from slt.core.files import atomic_write
from slt.core.leftovers import PART, release, remove_leftovers, temporary
from slt.core.runs import open_run
from slt.data.features.header import StoreHeader
from slt.data.features.writer import FeatureWriter

KILLED = """
import os, signal, sys
from pathlib import Path
from slt.core.files import atomic_write
from slt.core.leftovers import temporary
for name in sys.argv[1:]:
    with_suffix = Path(name)
    file = temporary(with_suffix)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.mkdir() if not with_suffix.suffix else file.write_bytes(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_while_writing(*targets):
    """Let a process begin to write files, or folders where they have no suffix, and die."""
    assert subprocess.run([sys.executable, "-c", KILLED, *map(str, targets)]).returncode == -9


def hidden(folder):
    return [path for path in folder.rglob(".*") if PART.fullmatch(path.name)]


def test_the_next_write_into_a_folder_clears_it(tmp_path):
    kill_while_writing(tmp_path / "a.json", tmp_path / "other.mp4", tmp_path / "store")
    assert len(hidden(tmp_path)) == 3
    with atomic_write(tmp_path / "b.json") as file:
        file.write(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_what_is_being_written_stays(tmp_path):
    with atomic_write(tmp_path / "a.json") as file:
        remove_leftovers(tmp_path)
        file.write(b"whole")
    assert (tmp_path / "a.json").read_bytes() == b"whole"
    code = "import sys; from pathlib import Path; from slt.core.leftovers import temporary;"
    code += "print(temporary(Path(sys.argv[1])), flush=True); sys.stdin.read()"
    live = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "b.json")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    path = type(tmp_path)(live.stdout.readline().strip())
    path.touch()
    remove_leftovers(tmp_path)
    assert path.exists()
    live.communicate("")
    remove_leftovers(tmp_path)
    assert not path.exists()


@pytest.mark.parametrize(("age_s", "stays"), [(60, True), (leftovers.FOREIGN_AGE_S + 60, False)])
def test_a_file_of_another_machine_is_removed_when_it_is_old(tmp_path, age_s, stays):
    path = tmp_path / ".a.00000000-1-0.part.json"
    path.touch()
    os.utime(path, (time.time() - age_s,) * 2)
    remove_leftovers(tmp_path)
    assert path.exists() == stays


def test_a_number_of_this_process_that_another_had_before_is_no_protection(tmp_path):
    own = temporary(tmp_path / "a.json")
    own.touch()
    earlier = own.with_name(own.name.replace(".part", "9.part"))
    earlier.touch()
    remove_leftovers(tmp_path)
    assert (own.exists(), earlier.exists()) == (True, False)
    release(own)
    assert not own.exists()


def test_a_run_that_was_killed_while_it_began_can_begin_again(tmp_path):
    kill_while_writing(tmp_path / "run" / "environment.json")
    open_run(tmp_path / "run", "name: a\n")
    assert not hidden(tmp_path)


def test_a_store_that_was_killed_while_it_began_can_begin_again(tmp_path):
    kill_while_writing(tmp_path / "store", tmp_path / "store" / "store.json")
    FeatureWriter(tmp_path / "store", StoreHeader(feature_dim=2, dtype="float16")).close()
    assert not hidden(tmp_path)


def test_a_process_that_exits_at_once_leaves_nothing(tmp_path):
    code = "import os, sys; from pathlib import Path; from slt.core import files, leftovers;"
    code += "block = files.atomic_write(Path(sys.argv[1])); block.__enter__().write(b'half'); leftovers.abandon_all();"
    code += "os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.json")], check=True)
    assert not list(tmp_path.iterdir())
