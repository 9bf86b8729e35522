# SPDX-License-Identifier: Apache-2.0
"""The machine and the threads of a run: pinned, set in every runtime, and written down. Imports no torch."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hqdit_mobile.bench import amx

TOOLS = ("hqdit-mobile", "torch", "torchao", "executorch", "onnxruntime", "numpy")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pin(threads: int) -> list[int] | None:
    """Keeps this process, and the threads it will start, on its first ``threads`` cores.

    Call it before a runtime is imported. Returns the cores, or None where the system cannot pin.
    Raises ValueError if there are fewer cores.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise ValueError(f"--threads {threads}: this process may use {len(cores)} cores")
    os.sched_setaffinity(0, cores[:threads])
    return cores[:threads]


def set_threads(threads: int) -> None:
    """Gives torch and ExecuTorch's pool ``threads`` threads; ONNX Runtime is told per session."""
    import torch
    from executorch.extension.pybindings import portable_lib

    torch.set_num_threads(threads)
    portable_lib._unsafe_reset_threadpool(threads)


def describe(threads: int, pinned: list[int] | None) -> dict[str, Any]:
    """What a reader needs to judge a figure; nothing that tells whose machine it is."""
    from hqdit_mobile.ops.native import library

    return {
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "isa": library().hqdit_isa().decode(),
        "amx": amx.permitted(),
        "system": platform.system(),
        "threads": threads,
        "pinned_cores": None if pinned is None else len(pinned),
        "load_average_before": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version(), **{tool: _version(tool) for tool in TOOLS}},
    }


def cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        fields = dict(_fields(path.read_text().split("\n\n")[0]))
        if name := fields.get("model name") or fields.get("CPU part"):
            # Family and model tell apart what a virtual machine calls by one name.
            numbers = [f"{key} {fields[key]}" for key in ("cpu family", "model") if key in fields]
            return f"{name} ({', '.join(numbers)})" if numbers else name
    return platform.processor() or platform.machine()


def _fields(text: str) -> list[tuple[str, str]]:
    lines = (line.partition(":") for line in text.splitlines())
    return [(name.strip(), value.strip()) for name, _, value in lines]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
