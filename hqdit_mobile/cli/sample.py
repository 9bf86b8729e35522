# SPDX-License-Identifier: Apache-2.0
"""``hqdit sample``: one image by the C++ engine, or by ONNX Runtime for an ONNX bundle."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hqdit_mobile.cli.console import say
from hqdit_mobile.cli.picture_output import picture_output
from hqdit_mobile.runtime.labels import resolve_label
from hqdit_mobile.runtime.open_bundle import open_bundle


def run_sample(
    bundle: Path,
    label: str,
    seed: int,
    output: str,
    threads: int,
    portable: bool = False,
    preview_interval: int = 0,
    memory_limit: int | None = None,
    public_keys: Sequence[str] = (),
    **settings: Any,
) -> None:
    """``memory_limit`` in MB. ``settings`` that are None take the bundle's defaults."""
    console = Console(stderr=True)
    goal = picture_output(output)
    strip = goal.beside("-previews") if preview_interval else None
    chosen = {name: value for name, value in settings.items() if value is not None}
    previews: list[np.ndarray] = []
    limit = (memory_limit or 0) * 10**6
    with open_bundle(
        bundle, threads=threads, portable=portable, memory_limit_bytes=limit, public_keys=public_keys
    ) as pipeline:
        if pipeline.null_label is None and "guidance_interval" in chosen:
            raise ValueError(f"{bundle} has no null class to guide away from: leave out --guidance-interval")
        number = resolve_label(pipeline.labels, pipeline.null_label, label)
        steps: Any = chosen.get("steps") or pipeline.defaults["steps"]
        started = time.perf_counter()
        columns = TextColumn("drawing"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn()
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            chosen |= {"seed": seed, "progress": _follow(bar, steps, previews), "preview_interval": preview_interval}
            image = pipeline.generate(number, **chosen)
        elapsed = time.perf_counter() - started
    goal.write(image)
    if strip is not None and previews:
        strip.write(side_by_side(previews, image))
    say(console, f"{output}: {image.shape[1]} x {image.shape[0]}, {elapsed:.2f} s")


def _follow(bar: Progress, steps: int, previews: list[np.ndarray]) -> Callable[[Any], bool]:
    task = bar.add_task("", total=steps)

    def progress(update: Any) -> bool:
        bar.update(task, completed=update.step, total=update.step_count)
        if update.preview is not None:
            previews.append(update.preview)
        return True

    return progress


def side_by_side(previews: list[np.ndarray], image: np.ndarray) -> np.ndarray:
    """Previews uint8 [h, w, 3] enlarged to the image's size [H, W, 3], and the image behind them."""
    factor = image.shape[0] // previews[0].shape[0]
    return np.concatenate([*(p.repeat(factor, 0).repeat(factor, 1) for p in previews), image], axis=1)
