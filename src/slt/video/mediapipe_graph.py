"""Run MediaPipe's graphs directly, without its Python solutions, which need an older protobuf."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from slt.core.errors import UserError
from slt.video.base import Frame

STEP_US = 33_333
"""Time from one frame to the next as a graph is told, whatever the video's rate: what MediaPipe's solutions tell it."""

# What MediaPipe and its libraries say on stderr when all is well.
_STRAY = re.compile(
    rb"AttributeError: 'MessageFactory' object has no attribute 'GetPrototype'"
    rb"|INFO: Created TensorFlow Lite XNNPACK delegate for CPU\."
    rb"|WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|W\d{4} .*Feedback manager requires a model with a single signature inference\..*"
)


class Graph:
    """One of the graphs in MediaPipe's package, fed picture by picture; nothing is fetched.

    Pictures are taken for frames of one video, in order: what a graph remembers of one helps it with the next.

    Args:
        file: of the graph, relative to MediaPipe's ``modules``.
        outputs: the streams to read.
        side: what the graph is told once, as whole numbers or truth values.
        change: changes the graph's expanded description before it runs.
    """

    def __init__(
        self,
        file: str,
        outputs: Sequence[str],
        *,
        side: Mapping[str, int | bool] | None = None,
        change: Callable[[Any], None] | None = None,
    ) -> None:
        with without_stray_lines():
            self._graph = _build(file, change)
            self._found: dict[str, Any] = {}
            for name in outputs:
                self._graph.observe_output_stream(name, self._found.__setitem__, False)
            self._side = dict(side or {})
            self._start()
        self._time_us = 0

    def _start(self) -> None:
        from mediapipe.python import packet_creator as create

        makers = {bool: create.create_bool, int: create.create_int}
        self._graph.start_run({name: makers[type(value)](value) for name, value in self._side.items()})
        self._graph.wait_until_idle()  # its models are loaded, and whatever they have to say is said

    def __call__(self, frame: Frame) -> dict[str, Any]:
        """Return the packet of each output stream that has something to say about a frame.

        Args:
            frame: (H, W, 3) uint8 RGB.
        """
        from mediapipe.python import packet_creator
        from mediapipe.python._framework_bindings.image_frame import ImageFormat

        self._found.clear()
        self._time_us += STEP_US
        picture = packet_creator.create_image_frame(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(frame))
        self._graph.add_packet_to_input_stream("image", picture.at(self._time_us))
        self._graph.wait_until_idle()
        return {name: packet for name, packet in self._found.items() if not packet.is_empty()}

    def restart(self) -> None:
        """Forget all pictures: the next one is the first of another video."""
        self._graph.close()
        with without_stray_lines():
            self._start()
        self._time_us = 0

    def close(self) -> None:
        """End the graph and its threads."""
        self._graph.close()

    def __enter__(self) -> Graph:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def messages(packet: Any, kind: Any) -> list[Any]:
    """Return the protobuf messages in a packet that holds a list of them.

    Args:
        packet: from a graph.
        kind: the class of the messages.
    """
    from mediapipe.python._framework_bindings import _packet_getter

    # The public getters ask protobuf for a function that it no longer has.
    return [kind.FromString(one) for one in _packet_getter._get_serialized_proto_list(packet)]


def message(packet: Any, kind: Any) -> Any:
    """Return the protobuf message in a packet; arguments as for ``messages``."""
    from mediapipe.python._framework_bindings import _packet_getter

    return kind.FromString(_packet_getter._get_serialized_proto(packet))


def _build(file: str, change: Callable[[Any], None] | None) -> Any:
    """Return a graph, as it stands in MediaPipe's package or changed.

    Raises:
        UserError: MediaPipe is not installed.
    """
    try:
        import mediapipe
    except ModuleNotFoundError as error:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise UserError(
            f"mediapipe, which detects keypoints and faces, is not installed (this is Python {python}, it has wheels "
            "for 3.11 and 3.12)",
            fix="use Python 3.12, another --detector, or keypoints from .pose files",
        ) from error
    from mediapipe.framework.calculator_pb2 import CalculatorGraphConfig
    from mediapipe.python._framework_bindings import resource_util
    from mediapipe.python._framework_bindings.calculator_graph import CalculatorGraph
    from mediapipe.python._framework_bindings.validated_graph_config import ValidatedGraphConfig

    package = Path(mediapipe.__file__).parent
    resource_util.set_resource_dir(str(package.parent))
    expanded = ValidatedGraphConfig()
    expanded.initialize(binary_graph_path=str(package / "modules" / file))
    description = CalculatorGraphConfig()
    description.ParseFromString(expanded.binary_config)
    if change is not None:
        change(description)
    return CalculatorGraph(graph_config=description)


@contextlib.contextmanager
def without_stray_lines() -> Iterator[None]:
    """Keep from stderr the lines that mean nothing; all others are written when the block ends.

    They come from compiled code, on several threads, so the file descriptor itself is led elsewhere meanwhile.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            kept.seek(0)
            for line in kept:
                if not _STRAY.fullmatch(line.rstrip(b"\n")):
                    os.write(2, line)
