# SPDX-License-Identifier: Apache-2.0
"""The record of a run as JSON, as tables for a terminal or a Markdown page, and as a plot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from hqdit_mobile.bench.linear import OURS as OUR_LINEAR

Record = dict[str, Any]


@dataclass(frozen=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def tables(record: Record) -> list[Table]:
    result = [_linear_table(record["linear"])]
    if "step" in record:
        result += [_step_table(record), _load_table(record["load"])]
    return result


def _linear_table(entries: list[Record]) -> Table:
    columns = (
        "layer",
        "M x K x N",
        "ours GOPS",
        "peak",
        "of peak",
        "in best turn",
        "fastest peer",
        "speedup",
        "fastest 4-bit peer",
        "speedup",
    )
    rows = []
    for e in entries:
        peer, four_bit = e["fastest_peer"], e["fastest_4bit_peer"]
        rows.append(
            (
                f"{e['model']} {e['layer']}" + (f", {e['layers']} layers" if e["layers"] > 1 else ""),
                f"{e['tokens']} x {e['in_features']} x {e['out_features']}",
                f"{e['gops'][OUR_LINEAR]:.0f}",
                f"{e['peak_gops']:.0f}",
                f"{100 * e['fraction_of_peak']:.0f} %",
                f"{100 * e['fraction_of_peak_in_best_turn']:.0f} %",
                f"{peer}, {e['gops'][peer]:.0f}",
                f"{e['speedup_vs_fastest_peer']:.2f}",
                f"{four_bit}, {e['gops'][four_bit]:.0f}",
                f"{e['speedup_vs_fastest_4bit_peer']:.2f}",
            )
        )
    return Table("Linear layers", columns, rows)


def step_kinds(step: Record) -> list[str]:
    """Those that were measured, the dearest first: a model without a null class has no guided step."""
    return [kind for kind in ("guided", "unguided") if kind in step]


def _step_table(record: Record) -> Table:
    step, image = record["step"], record["image"]
    kinds = step_kinds(step)
    columns = ("", *(column for kind in kinds for column in (f"{kind} step ms", "ratio")))
    columns += (f"image of {image['steps']} steps ms", "ratio")
    parts = *(step[kind] for kind in kinds), image
    rows = []
    for name in parts[0]["milliseconds"]:
        cells = [name]
        for part in parts:
            known = name in part["milliseconds"]
            cells.append(f"{part['milliseconds'][name]:.1f}" if known else "")
            cells.append(f"{part['speedup'][name]:.2f}" if known else "")
        rows.append(tuple(cells))
    return Table(
        f"{record['model']['name']}, {record['model']['precision']}: time, and its ratio to ours", columns, rows
    )


def _load_table(entries: list[Record]) -> Table:
    columns = (
        "",
        "files MB",
        "load cold ms",
        "load warm ms",
        "first step ms",
        "memory, step MB",
        "memory, image MB",
        "process to image ms",
    )
    fields = (
        ("file_bytes", _megabytes),
        ("load_ms_cold", _milliseconds),
        ("load_ms_warm", _milliseconds),
        ("first_step_ms", _milliseconds),
        ("peak_bytes", _megabytes),
        ("image_peak_bytes", _megabytes),
        ("process_to_image_ms", _milliseconds),
    )
    rows = [(e["name"], *(_cell(e.get(field), text) for field, text in fields)) for e in entries]
    return Table("Files, loading and peak memory in fresh processes", columns, rows)


def _megabytes(value: float) -> str:
    return f"{value / 1e6:.1f}"


def _milliseconds(value: float) -> str:
    return f"{value:.0f}"


def _cell(value: float | None, text: Callable[[float], str]) -> str:
    return "" if value is None else text(value)


def print_tables(record: Record, console: Console) -> None:
    for table in tables(record):
        shown = RichTable(title=table.title, title_justify="left")
        for index, column in enumerate(table.columns):
            shown.add_column(column, justify="left" if index == 0 or "peer" in column else "right")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)


def markdown(record: Record) -> str:
    """Machine, versions and tables as a Markdown fragment."""
    parts = [machine_line(record)]
    for table in tables(record):
        lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
        parts.append(f"### {table.title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts) + "\n"


def machine_line(record: Record) -> str:
    machine = record["machine"]
    tools = ", ".join(f"{tool} {version}" for tool, version in machine["versions"].items() if version)
    pinned = "not pinned" if machine["pinned_cores"] is None else f"pinned to {machine['pinned_cores']} cores"
    denied = ", AMX denied to all" if machine["amx"] is False else ""
    return (
        f"{machine['cpu']}, {machine['architecture']}, {machine['cores']} cores, kernels {machine['isa']}{denied}, "
        f"{machine['threads']} threads {pinned}, load average before {machine['load_average_before']}; {tools}; "
        f"plan {record['plan']}."
    )


def write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_json(path: Path, record: Record) -> None:
    write_text(path, json.dumps(record, indent=2, allow_nan=False) + "\n")


def write_plot(path: Path, record: Record) -> None:
    """A PNG: the dearest step in every runtime, if measured, and the linear layers as fractions of the peak."""
    from matplotlib.figure import Figure

    panels = 2 if "step" in record else 1
    figure = Figure(figsize=(7 * panels, 5), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _plot_linear(axes[-1], record["linear"])
    if "step" in record:
        _plot_step(axes[0], record)
    temporary = path.with_name(f".{path.name}.part")
    figure.savefig(temporary, format="png", dpi=110)
    os.replace(temporary, path)


def _plot_step(axes: Any, record: Record) -> None:
    kind = step_kinds(record["step"])[0]
    times = record["step"][kind]["milliseconds"]
    names = sorted(times, key=lambda name: -times[name])
    colors = ["tab:orange" if name.startswith("hqdit") else "tab:gray" for name in names]
    bars = axes.barh(names, [times[name] for name in names], color=colors)
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.margins(x=0.08)
    axes.set_xlabel("milliseconds")
    axes.set_title(f"One {kind} step of {record['model']['name']}")


def _plot_linear(axes: Any, entries: list[Record]) -> None:
    most = max(entry["tokens"] for entry in entries)
    tokens = min((entry["tokens"] for entry in entries), key=lambda count: abs(count - min(256, most)))
    chosen = [entry for entry in entries if entry["tokens"] == tokens]
    for name in chosen[0]["gops"]:
        fractions = [entry["gops"][name] / entry["peak_gops"] for entry in chosen]
        ours = name == OUR_LINEAR
        axes.plot(range(len(chosen)), fractions, marker="o", label=name, linewidth=3 if ours else 1)
    axes.set_xticks(range(len(chosen)), [f"{e['model']}\n{e['layer']}" for e in chosen], fontsize=8)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("fraction of the int8 peak")
    axes.set_title(f"Linear layers, {tokens} tokens")
    axes.legend(fontsize=7)
