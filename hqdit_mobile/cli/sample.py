# SPDX-License-Identifier: Apache-2.0
"""``hqdit sample``: one image by the C++ engine, or by ONNX Runtime for an ONNX bundle."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hqdit_mobile.runtime.engine import EngineError
from hqdit_mobile.runtime.open_bundle import open_bundle
from hqdit_mobile.util.atomic_write import whole_file


def run_sample(
    bundle: Path,
    label: str,
    seed: int,
    output: Path,
    threads: int,
    portable: bool = False,
    preview_interval: int = 0,
    memory_limit: int | None = None,
    **settings,
) -> int:
    """Returns the exit code. ``memory_limit`` in MB. ``settings`` that are None take the bundle's defaults."""
    console = Console(stderr=True)
    from PIL import Image

    chosen = {name: value for name, value in settings.items() if value is not None}
    previews: list[np.ndarray] = []
    try:
        limit = (memory_limit or 0) * 10**6
        with open_bundle(bundle, threads=threads, portable=portable, memory_limit_bytes=limit) as pipeline:
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
                    if update.preview is not None:
                        previews.append(update.preview)
                    return True

                number = int(label) if label.isdigit() else label
                chosen |= {"seed": seed, "progress": progress, "preview_interval": preview_interval}
                image = pipeline.generate(number, **chosen)
            elapsed = time.perf_counter() - started
    except (EngineError, ValueError, OSError) as error:
        console.print(f"[red]Error:[/] {error}", highlight=False)
        return 2
    files = {output: image} | ({preview_path(output): side_by_side(previews, image)} if previews else {})
    for path, pixels in files.items():
        with whole_file(path) as temporary:
            Image.fromarray(pixels).save(temporary, "PNG")
    console.print(f"{output}: {image.shape[1]} x {image.shape[0]}, {elapsed:.2f} s", highlight=False)
    return 0


def preview_path(output: Path) -> Path:
    return output.with_name(f"{output.stem}-previews.png")


def side_by_side(previews: list[np.ndarray], image: np.ndarray) -> np.ndarray:
    """Previews uint8 [h, w, 3] enlarged to the image's size [H, W, 3], and the image behind them."""
    factor = image.shape[0] // previews[0].shape[0]
    return np.concatenate([*(p.repeat(factor, 0).repeat(factor, 1) for p in previews), image], axis=1)
