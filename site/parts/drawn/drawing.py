"""Figures for print as PDF, SVG and PNG by matplotlib, the extra ``figures``: white ground, and the page's looks.

The same board gives the same bytes: names inside an SVG come from the track, and no date but the board's is in a file.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from palimpsest.harness.errors import MissingResource
from palimpsest.site.parts.drawn.plots import Bars, Curves, Line, Pareto, Plot
from palimpsest.site.words.looks import Look
from palimpsest.site.words.text import clean, count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMS = ("pdf", "svg", "png")
SIGNS = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D", "cross": "x", "bar": "|"}
"""Marker of a look → matplotlib's name of it."""
_INKS = re.compile(r"--s(\d+):\s*light-dark\((#[0-9a-f]{6})")
_SOFT, _RULE = "#56606a", "#d5d9dd"
_SETTINGS = {
    "text.parse_math": False,  # names come from strangers, and may hold a $
    "font.size": 9.0,
    "axes.edgecolor": _SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid.axis": "y",
    "grid.color": _RULE,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "axes.unicode_minus": True,
}
_INCHES = (7.0, 4.2)


def draw(plot: Plot, heading: Sequence[str], form: str, *, salt: str, date: str) -> bytes:
    """A figure as the bytes of a file.

    Args:
        plot: What it shows.
        heading: Lines above it.
        form: One of `FORMS`.
        salt: Text that names inside an SVG are made from.
        date: Day that the file's own data tell, as 2026-11-29; anything else: none.

    Raises:
        MissingResource: matplotlib is not installed.
    """
    with blank(salt) as (figure, axes):
        axes.set_title(
            "\n".join(line for text in heading for line in _lines(text, 118)), loc="left", fontsize=8, color=_SOFT
        )
        figure.suptitle("\n".join(_lines(plot.title, 88)), fontsize=10.5, fontweight="bold", x=0.01, ha="left")
        _fill(axes, plot)
        return as_bytes(figure, form, plot.title, date)


@contextmanager
def blank(salt: str) -> Iterator[tuple[Figure, Axes]]:
    """An empty figure with the house's settings, which hold until it is written.

    Raises:
        MissingResource: matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib  # an extra, and slow to load
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box stands for it, as in a browser
        matplotlib.rcdefaults()  # whatever a matplotlibrc says
        matplotlib.rcParams.update({**_SETTINGS, "svg.hashsalt": salt})
        figure = Figure(figsize=_INCHES, layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        axes.grid(True)
        axes.set_axisbelow(True)
        yield figure, axes


def require_matplotlib() -> None:
    """Refuse to draw without the extra.

    Raises:
        MissingResource: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401, ICN001
    except ImportError as error:
        raise MissingResource(
            'matplotlib is not installed. Install it with: pip install "palimpsest-bench[figures]"'
        ) from error


def _fill(axes: Axes, plot: Plot) -> None:
    match plot:
        case Curves():
            _curves(axes, plot)
        case Pareto():
            _pareto(axes, plot)
        case Bars():
            _bars(axes, plot)


def inks() -> tuple[str, ...]:
    """Colours of the page's looks on white ground, from its stylesheet."""
    sheet = (files("palimpsest.site") / "static" / "style.css").read_text(encoding="utf-8")
    found = {int(number): colour for number, colour in _INKS.findall(sheet)}
    return tuple(found[number] for number in sorted(found))


def _ink(look: Look) -> str:
    colours = inks()
    return colours[look.colour % len(colours)]


def _style(look: Look, width: float = 1.6) -> dict[str, Any]:
    ink = _ink(look)
    dash: Any = (0, tuple(part / width for part in look.dash)) if look.dash else "-"
    return {"color": ink, "linestyle": dash, "linewidth": width, "marker": SIGNS[look.marker], "markersize": 4.5}


def _curves(axes: Axes, plot: Curves) -> None:
    for line in plot.lines:
        axes.plot(line.edits, line.value, label=_short(line.label), **_style(line.look))
        _band(axes, line)
        if line.died:
            axes.plot(line.edits[-1:], line.value[-1:], "X", color=_ink(line.look), markersize=9, zorder=4)
    for rule in plot.rules:
        axes.axhline(rule, color=_SOFT, linewidth=0.8, linestyle=(0, (2, 4)))
    if any(line.died for line in plot.lines):
        axes.plot([], [], "X", color=_SOFT, markersize=8, linestyle="", label="last checkpoint before collapse")
    if plot.percent:
        top = max((value for line in plot.lines for value in (*line.value, *_known(line.high))), default=100.0)
        least = min((value for line in plot.lines for value in (*line.value, *_known(line.low))), default=0.0)
        axes.set_ylim(least - 4 if least < 0 else 0, max(104.0, top + 2))  # abilities can fall below chance
    axes.set_xlabel("edits")
    axes.set_ylabel(plot.unit)
    axes.xaxis.set_major_formatter(_counted)
    _legend(axes)


def _band(axes: Axes, line: Line) -> None:
    """The interval around a line, where it has one."""
    edges = [(e, lo, hi) for e, lo, hi in zip(line.edits, line.low, line.high, strict=True) if None not in (lo, hi)]
    if edges:
        edits, low, high = zip(*edges, strict=True)
        axes.fill_between(edits, low, high, color=_ink(line.look), alpha=0.13, linewidth=0)


def _pareto(axes: Axes, plot: Pareto) -> None:
    xs, ys = [point[0] for point in plot.front], [point[1] for point in plot.front]
    axes.plot(xs, ys, color=_SOFT, linewidth=0.9, linestyle=(0, (5, 4)), label="not beaten in both", zorder=1)
    for mark in plot.marks:
        style = _style(mark.look) | {"linestyle": ""}
        size = (4 + 9 * mark.share**0.5) * 1.6
        axes.plot([mark.x], [mark.y], "o", color=_ink(mark.look), markersize=size, alpha=0.2, linestyle="")
        axes.plot([mark.x], [mark.y], label=_short(mark.label), **style)
    axes.plot([], [], "o", color=_SOFT, markersize=10, alpha=0.2, linestyle="", label="area: seconds per edit")
    axes.margins(0.1)
    axes.set_xlabel("abilities kept, percent")
    axes.set_ylabel("score, percent")
    axes.grid(True, axis="x")
    _legend(axes)


def _bars(axes: Axes, plot: Bars) -> None:
    places = range(len(plot.bars))
    figure: Any = axes.figure
    figure.set_size_inches(_INCHES[0], max(2.4, 1.5 + 0.3 * len(plot.bars)))
    for place, bar in zip(places, plot.bars, strict=True):
        axes.barh(place, bar.value, height=0.6, color=_ink(bar.look), alpha=0.35)
        axes.plot([bar.value], [place], **_style(bar.look) | {"linestyle": ""})
        if bar.low is not None and bar.high is not None:
            axes.plot([bar.low, bar.high], [place, place], color=_ink(bar.look), linewidth=1.2)
        end = max(bar.value, bar.high or 0.0)
        axes.annotate(bar.text, (end, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(list(places), [_short(bar.label) for bar in plot.bars])
    axes.invert_yaxis()
    axes.set_xlim(0, plot.planned * 1.22)
    axes.axvline(plot.planned, color=_SOFT, linewidth=0.8, linestyle=(0, (2, 4)))
    axes.grid(False)
    axes.grid(True, axis="x")
    axes.set_xlabel(f"edits; before a name its rank; line in a bar: {plot.note}; dotted: planned edits", fontsize=8)
    axes.xaxis.set_major_formatter(_counted)


def _counted(value: float, place: float) -> str:
    return count(value)


def _legend(axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    if handles:
        figure: Any = axes.figure
        figure.legend(handles, names, loc="outside lower left", ncols=3, frameon=False, fontsize=8)


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _short(label: str) -> str:
    """A label of one line; matplotlib would leave out one that begins with _."""
    text = textwrap.shorten(clean(label, 200), 48, placeholder="…") or "?"
    return f"\u200a{text}" if text.startswith("_") else text


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(clean(text, 400), width) or [""]


def as_bytes(figure: Figure, form: str, title: str, date: str) -> bytes:
    """The file, without a date other than ``date`` and without the versions of what drew it."""
    try:
        day: datetime | None = datetime.fromisoformat(date).replace(tzinfo=UTC)
    except ValueError:
        day = None
    told: dict[str, dict[str, Any]] = {
        "pdf": {"Title": title, "Creator": "Palimpsest", "Producer": None, "CreationDate": day},
        "svg": {"Title": title, "Creator": "Palimpsest", "Date": day and date},
        "png": {"Title": title, "Software": None},
    }
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, metadata=told[form])
    return buffer.getvalue()
