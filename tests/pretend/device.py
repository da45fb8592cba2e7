"""The pretend accelerator: builds ``pretend.cpp`` once, and makes torch and slt take it for a GPU.

It cannot be taken back, so it is only used in processes of its own: see ``tests/pretend/test_pretend.py``.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

SOURCE = Path(__file__).with_name("pretend.cpp")
NAME = "pretend"


def built() -> Path:
    """Return the library, built if it is not there: about a minute, once per torch and source.

    Raises:
        FileNotFoundError: there is no compiler.
    """
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise FileNotFoundError("no C++ compiler: install g++, or name one in CXX")
    home = Path(torch.__file__).parent
    known = hashlib.sha256(SOURCE.read_bytes() + torch.__version__.encode() + str(home).encode()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"slt-pretend-{os.getuid()}" / f"{known}.so"
    if library.exists():
        return library
    library.parent.mkdir(mode=0o700, exist_ok=True)
    part = library.with_suffix(f".{os.getpid()}.part")
    command = [compiler, "-shared", "-fPIC", "-O1", "-std=c++17", "-w", str(SOURCE), "-o", str(part)]
    command += [f"-I{home}/include", f"-I{home}/include/torch/csrc/api/include", f"-L{home}/lib"]
    command += [f"-D_GLIBCXX_USE_CXX11_ABI={int(torch._C._GLIBCXX_USE_CXX11_ABI)}", "-ltorch_cpu", "-lc10"]
    subprocess.run(command, check=True)
    part.replace(library)
    return library


class Event:
    """A point in what the device was asked for."""

    def __init__(self, module: Pretend) -> None:
        self._module = module
        self._at = 0.0

    def record(self, stream: torch.Stream) -> None:
        self._at = time.perf_counter()

    def synchronize(self) -> None:
        self._module.synchronize()

    def elapsed_time(self, other: Event) -> float:
        return 1000 * (other._at - self._at)


class Pretend(ModuleType):
    """``torch.pretend``: what ``torch.cuda`` is for CUDA."""

    def __init__(self, library: ctypes.CDLL) -> None:
        super().__init__(NAME)
        self._library = library
        library.pretend_counted.restype = ctypes.c_char_p
        for name in ("allocated", "peak", "limit", "state_size"):
            getattr(library, f"pretend_{name}").restype = ctypes.c_size_t
        library.pretend_set_limit.argtypes = [ctypes.c_size_t]
        self.device = contextlib.nullcontext
        self.amp = SimpleNamespace()

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def set_device(self, device: Any) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def is_bf16_supported(self) -> bool:
        return True

    def manual_seed_all(self, seed: int) -> None:
        self._library.pretend_seed(ctypes.c_uint64(seed))

    manual_seed = manual_seed_all

    def get_rng_state(self, device: Any = NAME) -> torch.Tensor:
        state = torch.empty(self._library.pretend_state_size(), dtype=torch.uint8)
        self._library.pretend_get_state(ctypes.c_void_p(state.data_ptr()))
        return state

    def set_rng_state(self, state: torch.Tensor, device: Any = NAME) -> None:
        self._library.pretend_set_state(ctypes.c_void_p(state.data_ptr()), ctypes.c_size_t(len(state)))

    def synchronize(self, device: Any = None) -> None:
        self._library.pretend_synchronize()

    def current_stream(self, device: Any = None) -> torch.Stream:
        return torch.Stream(device=NAME)

    Stream = staticmethod(lambda device=None: torch.Stream(device=NAME))

    def stream(self, stream: torch.Stream) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def Event(self, enable_timing: bool = False) -> Event:
        return Event(self)

    def empty_cache(self) -> None:
        pass

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        limit = self._library.pretend_limit()
        return limit - self._library.pretend_allocated(), limit

    def memory_allocated(self, device: Any = None) -> int:
        return int(self._library.pretend_allocated())

    memory_reserved = memory_allocated

    def max_memory_allocated(self, device: Any = None) -> int:
        return int(self._library.pretend_peak())

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        self._library.pretend_reset_peak()

    def counted(self) -> dict[str, int]:
        """Return what made the device wait so far, and how often."""
        rows = [line.split("\t") for line in self._library.pretend_counted().decode().splitlines()]
        return {what: int(n) for what, n in rows}

    @contextlib.contextmanager
    def counting(self) -> Iterator[dict[str, int]]:
        """Count what makes the device wait; the result is complete at the end of the block."""
        found: dict[str, int] = {}
        self._library.pretend_forget()
        yield found
        found.update(self.counted())

    @contextlib.contextmanager
    def memory_limit(self, n_bytes: int) -> Iterator[None]:
        """Let tensors take no more than that many bytes more."""
        before = self._library.pretend_limit()
        self._library.pretend_set_limit(self._library.pretend_allocated() + n_bytes)
        try:
            yield
        finally:
            self._library.pretend_set_limit(before)


def start() -> Pretend:
    """Register the device as ``pretend``, and make slt choose it where it would choose a GPU."""
    from slt.core import device

    library = ctypes.CDLL(str(built()), mode=ctypes.RTLD_GLOBAL)
    library.pretend_begin()
    torch.utils.rename_privateuse1_backend(NAME)
    module = Pretend(library)
    torch._register_device_module(NAME, module)
    torch.utils.generate_methods_for_privateuse1_backend()
    sys.modules[f"torch.{NAME}"] = module
    # As on CUDA, a weight stays the same object when its module moves: optimisers and groups hold on to it.
    torch.__future__.set_swap_module_params_on_conversion(True)
    device.ACCELERATORS[:] = [NAME]
    return module
