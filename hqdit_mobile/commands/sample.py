# SPDX-License-Identifier: Apache-2.0
"""``hqdit sample``: one image by the C++ engine, or by ONNX Runtime for an ONNX bundle."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hqdit_mobile.engine import EngineError
from hqdit_mobile.open_bundle import open_bundle
from hqdit_mobile.whole_file import whole_file


def run_sample(
    bundle: Path, label: str, seed: int, output: Path, threads: int, portable: bool = False, **settings
) -> int:
    """Returns the exit code. ``settings`` that are None take the bundle's defaults."""
    console = Console(stderr=True)
    from PIL import Image

    chosen = {name: value for name, value in settings.items() if value is not None}
    try:
        with open_bundle(bundle, threads=threads, portable=portable) as pipeline:
            started = time.perf_counter()
            columns = (
                TextColumn("drawing"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=console) as bar:
                task = bar.add_task("")

                def progress(update) -> bool:
                    bar.update(task, completed=update.step, total=update.step_count)
                    return True

                image = pipeline.generate(
                    int(label) if label.isdigit() else label, seed=seed, progress=progress, **chosen
                )
            elapsed = time.perf_counter() - started
    except (EngineError, ValueError, OSError) as error:
        console.print(f"[red]Error:[/] {error}", highlight=False)
        return 2
    with whole_file(output) as temporary:
        Image.fromarray(image).save(temporary, "PNG")
    console.print(f"{output}: {image.shape[1]} x {image.shape[0]}, {elapsed:.2f} s", highlight=False)
    return 0
