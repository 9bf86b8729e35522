# SPDX-License-Identifier: Apache-2.0
"""``hqdit parity``: a bundle against another runtime, stage by stage, on the real inputs that the bundle carries."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hqdit_mobile.cli.console import plain
from hqdit_mobile.util.atomic_write import whole_file


def run_parity(bundle: Path, runtime: str | None, against: str, json_file: Path | None) -> int:
    """Returns the exit code: 0, or 1 when a stage misses what is needed."""
    errors = Console(stderr=True)
    from hqdit_mobile.export.bundle.folder import write_json
    from hqdit_mobile.runtime.manifest_file import read_manifest
    from hqdit_mobile.util.progress import Stages

    made_for = read_manifest(bundle).runtime
    chosen = runtime or made_for
    if chosen == against:
        raise ValueError(f"{chosen} would be compared with itself: choose another --runtime or --against")
    with Stages(errors) as stages:
        rows = _compare(bundle, made_for, chosen, against, stages)
    passed = all(row.passed for row in rows)
    Console().print(_table(rows, chosen, against))
    if json_file is not None:
        report = {
            "bundle": read_manifest(bundle).name,
            "runtime": chosen,
            "against": against,
            "passed": passed,
            "checks": [row.to_json() for row in rows],
        }
        with whole_file(json_file) as temporary:
            write_json(temporary, report)
    Console().print("[green]passed[/]" if passed else "[red]failed[/]")
    return 0 if passed else 1


def _compare(bundle: Path, made_for: str, runtime: str, against: str, stages) -> list:
    from hqdit_mobile.export.bundle.agreement import compare_bundle, compare_parts, compare_tiles
    from hqdit_mobile.export.bundle.parity_parts import block_parts
    from hqdit_mobile.export.bundle.probe import read_probe
    from hqdit_mobile.runtime.open_bundle import open_bundle

    probe = read_probe(bundle)
    stages.begin(f"Layers: {runtime} against {against}")
    rows = compare_parts(block_parts("", probe.block, probe.tokens, probe.context), runtime, against)
    # Steps and the picture need the whole model, which a bundle has for its own runtime only; torch's are on record.
    if runtime.removesuffix("-portable") == made_for:
        stages.begin(f"Steps and picture: {runtime} against torch")
        with open_bundle(bundle, portable=runtime.endswith("-portable")) as pipeline:
            rows += compare_bundle(probe, pipeline, runtime)
        if runtime == "executorch":
            rows += compare_tiles(probe, bundle)
    return rows


def _table(rows: list, runtime: str, against: str) -> Table:
    title = f"{runtime} against {against} (steps and picture: against torch)"
    table = Table(title=plain(title), title_justify="left", box=None, pad_edge=False)
    for name in ("stage", "what", "dB", "needed", "max error", "mean error", "cosine"):
        table.add_column(name, justify="left" if name in ("stage", "what") else "right", no_wrap=True)
    for row in rows:
        style = None if row.passed else "red"
        errors = f"{row.max_error:.1e}", f"{row.mean_error:.1e}", f"{row.cosine:.6f}"
        table.add_row(row.stage, plain(row.name), _db(row.db), _db(row.needed_db), *errors, style=style)
    table.caption = "dB: SNR, for the image PSNR; equal: the same bits"
    return table


def _db(value: float) -> str:
    return "equal" if value == math.inf else f"{value:.1f}"
