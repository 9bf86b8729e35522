# SPDX-License-Identifier: Apache-2.0
"""Loads one model in a fresh process: ``python -m hqdit_mobile.bench.probe KIND PATH THREADS STEPS`` prints JSON.

KIND is "engine" (a bundle), "onnx" or "hqdit-onnx" (a file). Times count from after the
imports; memory is the growth of resident memory from there to its peak, mapped files included.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


def main() -> None:
    kind, path, threads, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    result = _engine(path, threads, steps) if kind == "engine" else _onnx(path, threads, kind == "hqdit-onnx")
    json.dump(result, sys.stdout)


def _engine(path: str, threads: int, steps: int) -> dict[str, Any]:
    import numpy as np

    from hqdit_mobile.runtime.engine import Pipeline

    def load() -> Pipeline:
        return Pipeline(path, threads=threads, trust_programs=True)

    def step(pipeline: Pipeline) -> object:
        return pipeline.denoise(
            np.zeros(pipeline.latent_shape, np.float32), 500, 0, guided=pipeline.null_label is not None
        )

    start = _forget_peak()
    pipeline, result = _measure(load, step, start)
    pipeline.generate(0, steps=steps)
    return {**result, "image_peak_bytes": _resident("VmHWM") - start}


def _onnx(path: str, threads: int, ours: bool) -> dict[str, Any]:
    import numpy as np

    from hqdit_mobile.bench.peers_onnxruntime import session

    def step(opened: Any) -> object:
        kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
        # The only symbolic size is the number of labels: two in a guided step.
        shapes = {i.name: [2 if isinstance(n, str) else n for n in i.shape] for i in opened.get_inputs()}
        feeds = {i.name: np.zeros(shapes[i.name], kinds[i.type]) for i in opened.get_inputs()}
        return opened.run(None, feeds)

    return _measure(lambda: session(Path(path), threads, ours), step, _forget_peak())[1]


def _measure(load: Callable[[], Any], step: Callable[[Any], object], start: int) -> tuple[Any, dict[str, Any]]:
    started = time.perf_counter()
    model = load()
    loaded = time.perf_counter()
    step(model)
    stepped = time.perf_counter()
    return model, {
        "load_ms": 1e3 * (loaded - started),
        "first_step_ms": 1e3 * (stepped - loaded),
        "peak_bytes": _resident("VmHWM") - start,
    }


def _forget_peak() -> int:
    """Resident bytes now, from where the peak counts."""
    if STATUS.is_file():
        STATUS.with_name("clear_refs").write_text("5")
    return _resident("VmRSS")


def _resident(field: str) -> int:
    """VmRSS (now) or VmHWM (peak) in bytes. Not from getrusage where /proc is: its peak survives exec."""
    if STATUS.is_file():
        lines = (line.split() for line in STATUS.read_text().splitlines())
        return next(int(words[1]) * 1024 for words in lines if words[0] == f"{field}:")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
