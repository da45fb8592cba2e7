"""SVG plots that use the colours of the page's theme."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # placeholder, replaced by currentColor
SERIES = tuple(f"#0102{number:02x}" for number in range(0x10, 0x16))
MARKERS = "osD^vP"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One value with its interval.

    Attributes:
        label: name on the axis.
        value: the value.
        low, high: 95 % interval; None: not available.
    """

    label: str
    value: float
    low: float | None
    high: float | None


def curves_svg(curves: Mapping[str, Sequence[tuple[float, float]]], *, title: str, alt: str) -> str:
    """Plot curves, name → (update, value), of a training."""
    figure, axes = _canvas(6.4, 2.8)
    for number, (name, points) in enumerate(curves.items()):
        style = {"marker": MARKERS[number % len(MARKERS)], "markersize": 3} if len(points) < 30 else {}
        axes.plot(*zip(*points, strict=True), label=name, color=SERIES[number % len(SERIES)], **style)  # type: ignore[arg-type]
    axes.set(title=title, xlabel="updates")
    axes.legend(frameon=False, fontsize="small", labelcolor=INK)
    return _as_svg(figure, alt)


def intervals_svg(systems: Mapping[str, Sequence[Bar]], *, title: str, alt: str) -> str:
    """Plot values with intervals per label and system; systems differ in colour and marker."""
    labels = list(dict.fromkeys(bar.label for bars in systems.values() for bar in bars))
    figure, axes = _canvas(6.4, 0.9 + 0.42 * max(len(labels), 1))
    for number, (name, bars) in enumerate(systems.items()):
        shift = (number - (len(systems) - 1) / 2) * 0.6 / max(len(systems), 1)
        heights = [labels.index(bar.label) + shift for bar in bars]
        reach = [
            [bar.value - _or(bar.low, bar.value) for bar in bars],
            [_or(bar.high, bar.value) - bar.value for bar in bars],
        ]
        axes.errorbar(
            [bar.value for bar in bars],
            heights,
            xerr=reach,
            fmt=MARKERS[number % len(MARKERS)],
            color=SERIES[number % len(SERIES)],
            capsize=3,
            label=name,
        )
    axes.set(title=title, yticks=range(len(labels)), yticklabels=labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    if len(systems) > 1:
        axes.legend(frameon=False, fontsize="small", labelcolor=INK)
    return _as_svg(figure, alt)


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.grid(alpha=0.25, color=INK, linewidth=0.6)
    axes.tick_params(colors=INK)
    axes.title.set_color(INK)
    axes.xaxis.label.set_color(INK)
    for name, spine in axes.spines.items():
        spine.set_color(INK)
        spine.set_visible(name in ("left", "bottom"))
    return figure, axes


def _as_svg(figure: Figure, alt: str) -> str:
    """Return the figure as inline SVG with text as text, theme colours and unique ids."""
    import matplotlib as mpl

    buffer = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": alt, "font.family": "sans-serif"}
    with mpl.rc_context(settings):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S).replace(INK, "currentColor")
    for number, colour in enumerate(SERIES):
        svg = svg.replace(colour, f"var(--series-{number})")
    prefix = f"f{abs(hash_of(alt)):x}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)


def hash_of(text: str) -> int:
    """Return a hash of a text that is equal in every process."""
    import zlib

    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
