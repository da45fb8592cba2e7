from __future__ import annotations

import errno
import weakref

import pytest

from slt.core.errors import SltError, UserError, as_slt_error


class Tensors:
    """What a frame holds on to."""


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


def test_our_own_errors_stay_what_they_are():
    error = UserError("no such file", fix="give another")
    assert as_slt_error(error) is error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out.npy"), "no space left on the device for out.npy"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "no space left on the device"),
        (MemoryError("Unable to allocate 9 GiB"), "out of memory: Unable to allocate 9 GiB"),
        (OutOfMemoryError("CUDA out of memory.\nTried"), "out of memory: CUDA out of memory."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory: DefaultCPUAllocator"),
        (IndexError("list index out of range\nsecond line"), "unexpected IndexError: list index out of range"),
    ],
)
def test_other_errors_become_one_line_and_a_way_on(error, said):
    known = as_slt_error(error)
    assert type(known) is SltError
    assert known.exit_code == 1
    assert known.message.startswith(said)
    assert "\n" not in known.message
    assert known.fix
    assert known.__cause__ is error


def test_an_error_of_memory_that_is_kept_keeps_nothing_of_what_filled_it():
    alive = []

    def compute():
        tensors = Tensors()
        alive.append(weakref.ref(tensors))
        raise OutOfMemoryError("CUDA out of memory")

    kept = None
    try:
        compute()
    except OutOfMemoryError as error:
        kept = as_slt_error(error)
    assert kept.__cause__.__traceback__
    assert alive[0]() is None
