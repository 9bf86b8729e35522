# SPDX-License-Identifier: Apache-2.0
"""``hqdit evaluate-samplers``: draws with each sampler, prints a table, writes figures and a plot."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hqdit_mobile.cli.console import plain, say


def run_evaluate_samplers(
    bundle: Path,
    samplers: tuple[str, ...],
    output: Path,
    samples: int,
    guidance_scale: float | None,
    json_file: Path | None,
    plot: Path | None,
) -> None:
    console = Console(stderr=True)
    from hqdit_mobile.evaluate.group import process_group
    from hqdit_mobile.evaluate.sampler_record import make_sampler_record, write_sampler_plot
    from hqdit_mobile.evaluate.samplers import draw_samplers, parse_sampler
    from hqdit_mobile.evaluate.shards import write_whole
    from hqdit_mobile.evaluate.summary import json_ready
    from hqdit_mobile.runtime.manifest_file import read_manifest
    from hqdit_mobile.util.atomic_write import output_folder
    from hqdit_mobile.util.progress import Stages

    manifest = read_manifest(bundle)
    scale = manifest.defaults.guidance_scale if guidance_scale is None else guidance_scale
    chosen = [parse_sampler(text, manifest.process.spacing) for text in samplers]
    if manifest.model.null_label is None and (scale != 1 or any(s.guidance_interval != (0, 1) for s in chosen)):
        raise ValueError(
            f"{bundle} has no null class to guide away from: leave out --guidance-scale and the samplers' LOW-HIGH"
        )
    with output_folder(output), process_group() as group, Stages(console) as stages:
        drawn = draw_samplers(bundle, chosen, samples, scale, output, group, stages)
        if group.rank != 0:
            return
        stages.begin("Intervals by bootstrap")
        command = shlex.join(["hqdit", *sys.argv[1:]])
        record = json_ready(make_sampler_record(drawn, manifest.name, samples, scale, command))
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    for path in filter(None, (output / "samplers.json", json_file)):
        write_whole(path, text.encode())
    if plot:
        write_sampler_plot(plot, record)
    Console().print(_table(record))
    for note in record["notes"]:
        say(console, note)


COLUMNS = (
    ("evaluations", "evaluations", "{:.0f}"),
    ("fd_train", "FD train", "{:.3f}"),
    ("fd_train_change", "change", "{:+.3f}"),
    ("semantic", "class", "{:.3f}"),
    ("style", "style", "{:.3f}"),
    ("psnr_db", "PSNR", "{:.1f}"),
    ("denoise_ms", "denoise ms", "{:.0f}"),
    ("decode_ms", "decode ms", "{:.0f}"),
)


def _table(record: dict[str, Any]) -> Table:
    title = f"{record['model']}, {record['protocol']['samples']} images; PSNR and change: to the first sampler"
    table = Table(title=plain(title), title_justify="left", box=None)
    table.add_column("sampler", no_wrap=True)
    used = [column for column in COLUMNS if any(column[0] in figures for figures in record["samplers"])]
    for _, heading, _ in used:
        table.add_column(heading, justify="right")
    for figures in record["samplers"]:
        table.add_row(plain(figures["name"]), *(_cell(figures, key, form) for key, _, form in used))
    return table


def _cell(figures: dict[str, Any], key: str, form: str) -> str:
    if key not in figures:
        return ""
    limits = figures.get(f"{key}_interval") if key == "fd_train_change" else None
    value = form.format(figures[key])
    return value if limits is None else f"{value} [{', '.join(form.format(limit) for limit in limits)}]"
