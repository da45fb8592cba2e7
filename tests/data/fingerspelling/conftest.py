import pytest

from slt.data.fingerspelling.recordings import read_recordings
from slt.data.fingerspelling.spell import Letters
from tests.spelled import make_recordings


@pytest.fixture(scope="session")
def poses(tmp_path_factory):
    return make_recordings(tmp_path_factory.mktemp("spelled") / "lexicon")


@pytest.fixture(scope="session")
def letters(poses):
    return Letters(read_recordings(poses))
