"""Receive one multipart upload, written to disk as it comes, within limits of size, number and time."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from slt.core.errors import OUT_OF_SPACE
from slt.serve.jobs import shown_name, stored_name
from slt.serve.refusals import ApiError

MOST_FIELDS = 300  # each language is one
LONGEST_FIELD = 10_000
WRITE_BYTES = 1024 * 1024
SLOWEST = 2_000
"""Bytes a second below which an upload, after a minute, is given up."""

PATIENCE_S = 60.0
SPARE_BYTES = 200_000_000
"""What an upload must leave free on the disk."""


class UploadRefused(ApiError):
    """An upload that cannot be accepted: the rest of its body is not read.

    Args:
        status: of the HTTP answer.
        code: a short name of the reason.
        message: what was found, what was expected.
        fix: what to do.
    """

    def __init__(self, status: int, code: str, message: str, fix: str = "") -> None:
        super().__init__(status, code, message, fix, {"Connection": "close"})


@dataclass(kw_only=True)
class Upload:
    """What a form held.

    Attributes:
        fields: name → values, in the order of the form.
        name: of the file, as text; empty: there was no file.
        file: name under which it is stored in the folder.
        size: of the file in bytes.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    name: str = ""
    file: str = ""
    size: int = 0


async def receive_upload(
    pieces: AsyncIterator[bytes],
    content_type: str,
    folder: Path,
    *,
    most_bytes: int,
    idle_s: float,
    claimed: int | None = None,
) -> Upload:
    """Read a form whose field ``file`` is a video.

    Args:
        pieces: the request's body.
        content_type: of the request, with the boundary.
        folder: where the file goes.
        most_bytes: its largest size.
        idle_s: seconds to wait for the next piece.
        claimed: the body's size according to the request.

    Raises:
        UploadRefused: the form is malformed, too large, too slow, or the disk is too full.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UploadRefused(
            415, "not_a_form", "expected a form (multipart/form-data)", "curl -F file=@video.mp4 sends one"
        )
    if claimed is not None:
        _check_room(folder, claimed, most_bytes)
    form = _Form(folder, most_bytes)
    parser = MultipartParser(options[b"boundary"], form.callbacks())
    began = time.monotonic()
    received = 0
    try:
        async for piece in _in_time(pieces, idle_s):
            received += len(piece)
            late_s = time.monotonic() - began - PATIENCE_S
            if late_s > 0 and received < SLOWEST * late_s:
                raise UploadRefused(408, "too_slow", "the upload is too slow", "use a faster connection")
            parser.write(piece)
            if form.pending >= WRITE_BYTES:
                _check_room(folder, form.pending, most_bytes)
                await asyncio.to_thread(form.flush)
        parser.finalize()
        await asyncio.to_thread(form.flush)
    except FormParserError as error:
        raise UploadRefused(400, "bad_form", f"the form is malformed: {error}", "send it again") from error
    except OSError as error:
        if error.errno in OUT_OF_SPACE:
            raise _disk_full() from error
        raise
    finally:
        form.close()
    if not form.ended:
        raise UploadRefused(400, "bad_form", "the form ends before its last boundary", "send it again")
    return form.upload


async def _in_time(pieces: AsyncIterator[bytes], idle_s: float) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(idle_s):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise UploadRefused(408, "too_slow", f"nothing was sent for {idle_s:g} s", "send it again") from error
        yield piece


def _check_room(folder: Path, n_bytes: int, most_bytes: int) -> None:
    if n_bytes > most_bytes + LONGEST_FIELD * 10:
        raise _too_large(most_bytes)
    if shutil.disk_usage(folder).free < n_bytes + SPARE_BYTES:
        raise _disk_full()


def _too_large(most_bytes: int) -> UploadRefused:
    return UploadRefused(
        413, "too_large", f"the upload is larger than {most_bytes / 1e6:g} MB", "cut the video, or convert it to H.264"
    )


def _disk_full() -> UploadRefused:
    return UploadRefused(507, "disk_full", "the server's disk is full", "delete older translations, then try again")


class _Form:
    """What the parser's callbacks gather."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.upload = Upload()
        self.ended = False
        self._folder = folder
        self._most_bytes = most_bytes
        self._n_fields = 0
        self._header_name = b""
        self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._name: str | None = None
        self._value = bytearray()
        self._file: BinaryIO | None = None
        self._is_file = False
        self._chunks: list[bytes] = []
        self.pending = 0

    def callbacks(self) -> Any:
        """Return the parser's callbacks."""
        each: dict[str, Callable[..., None]] = {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value_piece,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }
        return each

    def flush(self) -> None:
        """Write what has come of the file."""
        chunks, self._chunks, self.pending = self._chunks, [], 0
        if self._file is not None:
            self._file.writelines(chunks)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _part_begin(self) -> None:
        self._n_fields += 1
        if self._n_fields > MOST_FIELDS:
            raise UploadRefused(400, "bad_form", f"the form has more than {MOST_FIELDS} fields")
        self._headers, self._header_name, self._header_value = {}, b"", b""
        self._value, self._name, self._is_file = bytearray(), None, False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_piece(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name, self._header_value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = self._name == "file"
        if self._is_file:
            if self._file is not None:
                raise UploadRefused(400, "bad_form", "the form has several files, expected one")
            name = options.get(b"filename", b"").decode("utf-8", "replace")
            self.upload.name, self.upload.file = shown_name(name), stored_name(name)
            self._file = open(self._folder / self.upload.file, "xb")  # noqa: SIM115 - closed by close()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.upload.size += end - start
            if self.upload.size > self._most_bytes:
                raise _too_large(self._most_bytes)
            self._chunks.append(data[start:end])
            self.pending += end - start
            return
        self._value += data[start:end]
        if len(self._value) > LONGEST_FIELD:
            raise UploadRefused(400, "bad_form", f"the field {shown_name(self._name or '')!r} is too long")

    def _part_end(self) -> None:
        if not self._is_file and self._name:
            self.upload.fields.setdefault(self._name, []).append(self._value.decode("utf-8", "replace"))

    def _end(self) -> None:
        self.ended = True
