"""Open a video file of any FFmpeg format, or a folder of frames."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from slt.core.errors import UserError
from slt.video.base import Frame, Video, VideoInfo
from slt.video.oserrors import explain_os_error

if TYPE_CHECKING:
    from slt.video.isolated import DecoderLimits

__all__ = ["Frame", "Video", "VideoInfo", "isolate_decoders", "open_video"]

_limits: DecoderLimits | None = None


def isolate_decoders(limits: DecoderLimits | None) -> None:
    """Decode files in processes of their own from now on, or in this one again; folders of frames always in this one.

    Args:
        limits: what each of them may take; None: decode in this process.
    """
    global _limits
    if limits is not None:
        from slt.video.isolated import prepare_decoders

        prepare_decoders()
    _limits = limits


def open_video(path: Path) -> Video:
    """Open a video file, or a folder of frames shown at 25 frames per second.

    The first frame is decoded, so a video that opens has at least one.

    Raises:
        UserError: no such file, no permission, empty, not a video, or no frame that can be decoded.
        SltError: the machine could not read it.
    """
    from slt.video.file import open_file
    from slt.video.folder import open_folder

    path = Path(path)
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISREG(kind):
            with path.open("rb") as file:
                first = file.read(1)
    except (OSError, ValueError) as error:
        raise explain_os_error(path, error) from error
    if stat.S_ISDIR(kind):
        return open_folder(path)
    if not stat.S_ISREG(kind):
        raise UserError(f"{path} is neither a file nor a folder, expected a video", fix="give a video file")
    # FFmpeg calls an empty file invalid data, which hides the reason.
    if not first:
        raise UserError(f"{path} is empty (0 bytes), expected a video", fix="copy or download it again")
    if _limits is not None:
        from slt.video.isolated import open_isolated

        return open_isolated(path, _limits)
    return open_file(path)
