import os
import signal
import threading

import pytest

from slt.core.errors import Stopped
from slt.core.signals import SIGNALS, stop_requests


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_asks_to_stop_and_kills_nobody(number):
    with stop_requests() as stop:
        assert not stop.requested
        stop.check()
        os.kill(os.getpid(), number)
        assert stop.requested
        with pytest.raises(Stopped, match=f"stopped as asked: {number.name} came") as stopped:
            stop.check()
    assert stopped.value.exit_code == 75
    assert stopped.value.fix == "run the same command again to go on"


def test_the_stop_file_asks_to_stop(tmp_path, monkeypatch):
    path = tmp_path / "stop"
    monkeypatch.setenv("SLT_STOP_FILE", str(path))
    with stop_requests() as stop:
        assert not stop.requested
        path.touch()
        with pytest.raises(Stopped, match="stop exists"):
            stop.check()


def test_what_listened_before_listens_again():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(RuntimeError, match="a bug"), stop_requests():
        raise RuntimeError("a bug")
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_thread_listens_for_the_file_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("SLT_STOP_FILE", str(tmp_path))
    seen = []

    def work():
        with stop_requests() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]
