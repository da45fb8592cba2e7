"""Settings of the server: where it listens, what it translates with, and its limits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from slt.core.errors import UserError

GB = 1_000_000_000
LOCAL_NAMES = ("localhost",)


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Everything that ``slt serve`` was told.

    Attributes:
        models: names or folders of bundles, the first one by default.
        data: folder of uploads, results and corrections.
        host: address to listen on.
        port: likewise; 0: any free one.
        token: what requests must show; None: only this machine is served.
        allowed_hosts: further names under which the server may be addressed, those of a reverse proxy.
        videos: folder whose videos may be translated without an upload; None: there is none.
        devices: one worker process each: "auto", "cpu", "cuda:0" and so on.
        dtype: precision of the models.
        max_upload_bytes: size of one upload.
        max_duration_s: duration of one video.
        max_queue: translations that wait or are being uploaded.
        max_kept: finished translations that are kept.
        keep_s: seconds after which a finished translation and its video are removed.
        job_timeout_s: seconds that one translation may take.
        idle_s: seconds within which the next piece of a request's body must arrive.
        model_bytes: memory for models; the one in use may be larger.
        decoder_bytes: address space of each process that decodes a video.
    """

    models: tuple[str, ...]
    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    videos: Path | None = None
    devices: tuple[str, ...] = ("auto",)
    dtype: str = "float32"
    max_upload_bytes: int = 2 * GB
    max_duration_s: float = 3600.0
    max_queue: int = 64
    max_kept: int = 500
    keep_s: float = 24 * 3600.0
    job_timeout_s: float = 2 * 3600.0
    idle_s: float = 20.0
    model_bytes: int = 8 * GB
    decoder_bytes: int = 6 * GB

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.token:
            raise UserError(
                f"found the address {self.host} and no token: only this machine may be served without one",
                fix="set a token, or use --host 127.0.0.1",
            )
        if self.videos is not None and not self.videos.is_dir():
            raise UserError(f"{self.videos} is no folder", fix="give --videos a folder of videos")
        for name in ("max_upload_bytes", "max_duration_s", "max_queue", "max_kept", "keep_s", "job_timeout_s"):
            if getattr(self, name) <= 0:
                raise UserError(f"found {name} {getattr(self, name)}, expected a number above 0")


def is_loopback(host: str) -> bool:
    """Return whether an address or name is this machine's own, seen from itself."""
    if host in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def parse_size(text: str) -> int:
    """Return the bytes that ``2G``, ``500M`` or ``1000000`` mean.

    Raises:
        UserError: it means none.
    """
    units = {"K": 1000, "M": 1000**2, "G": GB, "T": 1000**4}
    number = text.strip().upper().removesuffix("B")
    unit = units.get(number[-1:], 1)
    try:
        size = float(number[:-1] if unit > 1 else number) * unit
    except ValueError:
        size = 0.0
    if not 1 <= size < 1e18:
        raise UserError(f"found the size {text!r}, expected a number of bytes such as 500M or 2G")
    return int(size)
