# SPDX-License-Identifier: Apache-2.0
"""``hqdit bench``: measures, prints tables, and writes what was asked for."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from hqdit_mobile.cli.console import say
from hqdit_mobile.util.progress import Stages


def run_bench_command(
    bundle: Path | None,
    full: bool,
    threads: int,
    no_amx: bool,
    steps: int,
    model: str | None,
    vae: str | None,
    family: str | None,
    num_heads: int | None,
    num_classes: int | None,
    json_file: Path | None,
    plot: Path | None,
    markdown: Path | None,
) -> None:
    console = Console(stderr=True)
    from hqdit_mobile.bench import amx, machine

    # Before torch is imported: runtimes ask for AMX when they are loaded, and threads inherit the cores.
    if no_amx:
        amx.deny()
    threads = threads or machine.available_cores()
    pinned = machine.pin(threads)
    from hqdit_mobile.bench import report, run
    from hqdit_mobile.model.checkpoints.given import Given

    given = Given(family, num_heads, num_classes)
    subject = None if bundle is None else run.BenchSubject(bundle, model, vae, given, steps)
    with Stages(console) as stages:
        record = run.run_bench(run.BENCH_PLANS["full" if full else "quick"], subject, threads, pinned, stages)
    report.print_tables(record, Console())
    say(console, report.machine_line(record))
    if json_file:
        report.write_json(json_file, record)
    if plot:
        report.write_plot(plot, record)
    if markdown:
        report.write_text(markdown, report.markdown(record))
