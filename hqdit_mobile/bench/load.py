# SPDX-License-Identifier: Apache-2.0
"""File size, load time cold and warm, and peak memory: each model in fresh processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hqdit_mobile.bench.prepare import OUR_ONNX, Prepared
from hqdit_mobile.runtime.manifest_file import read_manifest


def bench_load(
    prepared: Prepared, threads: int, steps: int, rounds: int, advance: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """One entry per form of the model on disk. Cold: its files were dropped from the page cache just before (where the
    system can; the runtime's libraries were not). No other process may have the files mapped meanwhile."""
    entries = []
    for name, (kind, path, files) in _subjects(prepared).items():
        cold, warm = [], []
        for _ in range(rounds):
            dropped = all([_drop_from_cache(file) for file in files])
            cold.append(_probe(kind, path, threads, steps))
            warm.append(_probe(kind, path, threads, steps))
        entry = {
            "name": name,
            "file_bytes": sum(file.stat().st_size for file in files),
            "load_ms_cold": _median(cold, "load_ms") if dropped else None,
            "load_ms_warm": _median(warm, "load_ms"),
            "first_step_ms": _median(warm, "first_step_ms"),
            "peak_bytes": _median(warm, "peak_bytes"),
        }
        if kind == "engine":
            entry["image_peak_bytes"] = _median(warm, "image_peak_bytes")
            entry["process_to_image_ms"] = _median(warm, "process_ms")
        entries.append(entry)
        advance()
    return entries


def _subjects(prepared: Prepared) -> dict[str, tuple[str, Path, list[Path]]]:
    """name: (kind of probe, what it loads, the files that it reads)."""
    subjects: dict[str, tuple[str, Path, list[Path]]] = {}
    for name, bundle in prepared.bundles.items():
        files = [bundle / entry.path for entry in read_manifest(bundle).files.values()]
        subjects[name] = "engine", bundle, files
    for name, steps in prepared.onnx.items():
        path = steps[prepared.steps[0]]
        subjects[name] = "hqdit-onnx" if name == OUR_ONNX else "onnx", path, [path, *_external(path)]
    return subjects


def _external(path: Path) -> Iterable[Path]:
    data = path.with_name(path.name + ".data")
    return [data] if data.is_file() else []


def _median(probes: list[dict[str, Any]], field: str) -> float:
    return statistics.median(probe[field] for probe in probes)


def _probe(kind: str, path: Path, threads: int, steps: int) -> dict[str, Any]:
    command = [sys.executable, "-I", "-m", "hqdit_mobile.bench.probe", kind, str(path), str(threads), str(steps)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{path.name} could not be measured in a fresh process:\n{done.stderr.strip()}")
    return {**json.loads(done.stdout), "process_ms": 1e3 * elapsed}


def _drop_from_cache(path: Path) -> bool:
    if not hasattr(os, "posix_fadvise"):
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Pages that were not written out yet stay.
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return True
