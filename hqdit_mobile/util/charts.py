# SPDX-License-Identifier: Apache-2.0
"""Inline SVG that reads on a phone: tables of SNR in colour, and quality against a cost."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# From dark to light, so that it reads in grey too.
COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
LOW_DB, HIGH_DB = 0.0, 50.0
LABEL, CELL, ROW = 92, 33, 16  # width of the names, width and height of a cell
SCALE = 198  # width of the scale below the cells
PLOT_WIDTH, PLOT_HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 360, 260, 46, 36, 12, 14


def heat_map(title: str, rows: Mapping[str, Sequence[float | None]], columns: Sequence[str], heading: str) -> str:
    """A cell per row and column, in dB, above the scale of the colours; None is "equal". Wide as a phone's screen.
    ``heading``: what the columns are."""
    width, height = LABEL + max(CELL * len(columns), SCALE), ROW * (len(rows) + 3)
    parts = [_text(LABEL + CELL * (i + 0.5), 11, f"{name}", "middle") for i, name in enumerate(columns)]
    parts.append(_text(LABEL - 4, 11, heading, "end"))
    for index, (name, values) in enumerate(rows.items(), start=1):
        y = ROW * index
        parts.append(_text(LABEL - 4, y + 11.5, name, "end"))
        for column, value in enumerate(values):
            fraction = 1.0 if value is None else (value - LOW_DB) / (HIGH_DB - LOW_DB)
            x = LABEL + CELL * column
            parts.append(f'<rect x="{x}" y="{y}" width="{CELL}" height="{ROW}" fill="{_colour(fraction)}"/>')
            shown = "equal" if value is None else f"{value:.1f}"
            parts.append(_text(x + CELL / 2, y + 11.5, shown, "middle", "#fff" if fraction < 0.6 else "#000"))
    return _svg(title, width, height, parts + _scale(ROW * (len(rows) + 1.5)))


def _scale(y: float) -> list[str]:
    """What the colours mean, from LOW_DB to HIGH_DB and beyond; its top is at ``y``."""
    pieces = 25
    parts = [_text(LABEL - 4, y + 9, "dB", "end")]
    for piece in range(pieces):
        x, width = LABEL + SCALE * piece / pieces, SCALE / pieces
        fill = _colour((piece + 0.5) / pieces)
        parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width + 0.3:.1f}" height="{ROW * 0.6:.1f}" fill="{fill}"/>')
    for share in (0.0, 0.5, 1.0):
        anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
        number = f"{LOW_DB + share * (HIGH_DB - LOW_DB):g}"
        shown = {0.0: f"{number} or less", 1.0: f"{number} or more"}.get(share, number)
        parts.append(_text(LABEL + SCALE * share, y + ROW * 1.3, shown, anchor))
    return parts


def _colour(fraction: float) -> str:
    place = min(max(fraction, 0.0), 1.0) * (len(COLOURS) - 1)
    index = min(int(place), len(COLOURS) - 2)
    mix = (round(a + (place - index) * (b - a)) for a, b in zip(COLOURS[index], COLOURS[index + 1], strict=True))
    return "#" + "".join(f"{value:02x}" for value in mix)


@dataclass(frozen=True)
class Point:
    """``number`` marks it: names would cover each other."""

    number: int
    cost: float
    quality: float


def scatter(title: str, x_name: str, y_name: str, points: Sequence[Point], higher_is_better: bool) -> str:
    """The line joins the points that no other one beats in both."""
    xs, ys = ([getattr(point, field) for point in points] for field in ("cost", "quality"))
    parts, place = _axes(ticks(0, max(xs)), ticks(min(0.0, min(ys)), max(ys)), x_name, y_name)
    front = [place(point.cost, point.quality) for point in pareto(points, higher_is_better)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in front)
    parts.append(f'<polyline points="{path}" fill="none" stroke="#d60" stroke-width="2"/>')
    for point in points:
        x, y = place(point.cost, point.quality)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="#246" fill-opacity=".85"/>')
        parts.append(_text(x, y + 3.5, str(point.number), "middle", "#fff"))
    return _svg(title, PLOT_WIDTH, PLOT_HEIGHT, parts)


def curve(title: str, x_name: str, y_name: str, points: Sequence[tuple[float, float]]) -> str:
    """A line through ``points`` (x, y) with a mark at each, the first one on the left, whichever way x grows."""
    xs, ys = zip(*points, strict=True)
    leftwards = xs[0] > xs[-1]
    parts, place = _axes(ticks(min(xs), max(xs)), ticks(min(0.0, min(ys)), max(ys)), x_name, y_name, leftwards)
    places = [place(x, y) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f'<polyline points="{path}" fill="none" stroke="#d60" stroke-width="2"/>')
    for (x, y), (timestep, value) in zip(places, points, strict=True):
        about = html.escape(f"{x_name.partition(' (')[0]} {timestep:g}: {value:.1f}")
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#d60"><title>{about}</title></circle>')
    return _svg(title, PLOT_WIDTH, PLOT_HEIGHT, parts)


def _axes(
    x_ticks: list[float], y_ticks: list[float], x_name: str, y_name: str, leftwards: bool = False
) -> tuple[list[str], Callable[[float, float], tuple[float, float]]]:
    """The grid and its words, and where a point (x, y) lies in it."""
    x_scale = (PLOT_WIDTH - LEFT - RIGHT) / (x_ticks[-1] - x_ticks[0])
    y_scale = (PLOT_HEIGHT - TOP - BOTTOM) / (y_ticks[-1] - y_ticks[0])

    def place(x: float, y: float) -> tuple[float, float]:
        along = x_ticks[-1] - x if leftwards else x - x_ticks[0]
        return LEFT + along * x_scale, PLOT_HEIGHT - BOTTOM - (y - y_ticks[0]) * y_scale

    parts = []
    for tick in x_ticks:
        x, y = place(tick, y_ticks[0])
        parts += [_line(x, TOP, x, y), _text(x, y + 14, f"{tick:g}", "middle")]
    for tick in y_ticks:
        y = place(x_ticks[0], tick)[1]
        parts += [_line(LEFT, y, PLOT_WIDTH - RIGHT, y), _text(LEFT - 5, y + 4, f"{tick:g}", "end")]
    parts.append(_text((LEFT + PLOT_WIDTH - RIGHT) / 2, PLOT_HEIGHT - 6, x_name, "middle"))
    middle = (TOP + PLOT_HEIGHT - BOTTOM) / 2
    turned = f'text-anchor="middle" fill="currentColor" transform="rotate(-90 11 {middle:.0f})"'
    parts.append(f'<text x="11" y="{middle:.0f}" {turned}>{html.escape(y_name)}</text>')
    return parts, place


def pareto(points: Sequence[Point], higher_is_better: bool) -> list[Point]:
    """Those that no point beats in cost and quality, cheapest first."""
    sign = -1 if higher_is_better else 1
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, sign * point.quality)):
        if not front or sign * point.quality < sign * front[-1].quality:
            front.append(point)
    return front


def ticks(low: float, high: float) -> list[float]:
    """Round numbers, about five, from at most low to at least high."""
    span = (high - low) or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(span / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / 5)
    first = math.floor(low / step)
    count = max(math.ceil(high / step - 1e-9) - first, 1)
    return [round((first + i) * step, 12) for i in range(count + 1)]


def _line(x0: float, y0: float, x1: float, y1: float) -> str:
    ends = f'x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"'
    return f'<line {ends} stroke="currentColor" stroke-opacity=".2"/>'


def _text(x: float, y: float, text: str, anchor: str, fill: str = "currentColor") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{html.escape(text)}</text>'


def _svg(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    name = html.escape(title, quote=True)
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{name}" style="max-width:{width * 1.5:.0f}px">'
    return f"{head}{''.join(parts)}</svg>"
