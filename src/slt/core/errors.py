"""Exceptions: user errors, machine errors, and stopping on request."""

from __future__ import annotations

import errno
import traceback

OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)

OUT_OF_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")
"""What torch says in a plain RuntimeError when memory is used up: its CPU allocator, CUDA, and CUDA's libraries."""


class SltError(Exception):
    """A failure that is ours or the machine's; the command line exits with 1.

    Args:
        message: what was found and what was expected, in one sentence.
        fix: what to do next; shown on a line of its own.
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class UserError(SltError):
    """An error the user can fix; the command line exits with 2."""

    exit_code = 2


class Stopped(SltError):
    """A command left early because it was asked to; the command line exits with 75, "try again" to schedulers.

    Args:
        why: what asked.
    """

    exit_code = 75

    def __init__(self, why: str) -> None:
        super().__init__(f"stopped as asked: {why}", fix="run the same command again to go on")


def as_slt_error(error: Exception) -> SltError:
    """Return ``error`` itself when it is one of ours, else an explanation: the machine's limit, or a bug.

    The original is kept as the cause, for a traceback.
    """
    if isinstance(error, SltError):
        return error
    known = _explained(error)
    known.__cause__ = error
    return known


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a device's memory, or the CPU's, is used up."""
    # torch has an error of its own for a GPU, known by its name: this module does without torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in OUT_OF_MEMORY)


def _explained(error: Exception) -> SltError:
    said = str(error).partition("\n")[0]
    if isinstance(error, OSError) and error.errno in OUT_OF_SPACE:
        where = f" for {error.filename}" if error.filename else ""
        return SltError(f"no space left on the device{where}", fix="free some space, then run the same command again")
    if is_out_of_memory(error):
        traceback.clear_frames(error.__traceback__)  # the error is kept, not the tensors of the frames it came through
        return SltError(f"out of memory: {said}", fix="close other programs, or try --dtype bfloat16 or --device cpu")
    return SltError(
        f"unexpected {type(error).__name__}: {said}",
        fix="a bug in slt or a dependency: run again with SLT_TRACEBACK=1 to see where",
    )
