# SPDX-License-Identifier: Apache-2.0
"""``hqdit evaluate``: draws, compares, prints a table, writes the report."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hqdit_mobile.cli.console import plain, say


def run_evaluate(
    candidates: tuple[str, ...],
    model: str,
    vae: str | None,
    family: str | None,
    num_heads: int | None,
    num_classes: int | None,
    output: Path,
    samples: int,
    steps: int,
    guidance_scale: float | None,
    noise_samples: int,
    json_file: Path | None,
    npz: bool,
    fidelity: Path | None,
) -> None:
    console = Console(stderr=True)
    from hqdit_mobile.evaluate.adm import write_adm
    from hqdit_mobile.evaluate.candidates import check_specs
    from hqdit_mobile.evaluate.fidelity import FEWEST, Fidelity
    from hqdit_mobile.evaluate.group import process_group
    from hqdit_mobile.evaluate.protocol import USUAL_GUIDANCE, Protocol
    from hqdit_mobile.evaluate.record import make_page, make_record
    from hqdit_mobile.evaluate.run import evaluate_candidates, load_float_model
    from hqdit_mobile.evaluate.shards import write_whole
    from hqdit_mobile.model.checkpoints.given import Given
    from hqdit_mobile.util.atomic_write import output_folder
    from hqdit_mobile.util.progress import Stages

    if fidelity and samples < FEWEST:
        raise ValueError(f"--fidelity needs --samples {FEWEST} or more")
    check_specs(candidates)
    with process_group() as group, Stages(console) as stages, ExitStack() as opened:
        opened.enter_context(output_folder(output))
        stages.begin("Load the model")
        loaded = load_float_model(model, vae, Given(family, num_heads, num_classes))
        scale = loaded.guidance(guidance_scale, USUAL_GUIDANCE)
        protocol = Protocol(samples, steps, scale, min(noise_samples, samples))
        compared = None
        if fidelity and group.rank == 0:
            compared = opened.enter_context(Fidelity(fidelity, loaded.image_size))
        measured = evaluate_candidates(list(candidates), loaded, protocol, output, group, stages)
        if group.rank != 0:
            return
        stages.begin("Intervals by bootstrap")
        record = make_record(measured, loaded, protocol, shlex.join(["hqdit", *sys.argv[1:]]))
        if compared:
            stages.begin("FID, IS, precision and recall", len(measured))
            for part, figures in zip(measured, record["candidates"], strict=True):
                figures |= compared.figures(part.all_images("--fidelity"))
                stages.advance()
            record["notes"].append(compared.note())
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    for path in filter(None, (output / "evaluation.json", json_file)):
        write_whole(path, text.encode())
    for part in measured if npz else ():
        write_adm(output, part)
    write_whole(output / "report.html", make_page(record, measured, loaded).encode())
    Console().print(_table(record))
    for note in record["notes"]:
        say(console, note)
    say(console, output / "report.html")


def _table(record: dict[str, Any]) -> Table:
    from hqdit_mobile.evaluate.figures import used_columns

    columns = used_columns(record["candidates"])
    table = Table(
        title=plain(f"{record['model']}, {record['protocol']['samples']} images"), title_justify="left", box=None
    )
    table.add_column("candidate", no_wrap=True)
    for column in columns:
        table.add_column(column.short, justify="right")
    for figures in record["candidates"]:
        table.add_row(plain(figures["name"]), *(column.cell(figures) for column in columns))
    return table
