# SPDX-License-Identifier: Apache-2.0
"""Processes on a processor that lacks instruction sets: what tests/tools/processor_mask.c needs, and builds it."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "tools/processor_mask.c"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def cpu_flags() -> list[str]:
    """What the kernel found, whatever CPUID answers in this process."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.split() for line in lines if line.startswith("flags")), [])


def need_processor_mask() -> None:
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        pytest.skip("CPUID can only be masked on x86-64 Linux")
    if "cpuid_fault" not in cpu_flags():
        pytest.skip("this processor cannot make CPUID fault")
    if shutil.which("cc") is None:
        pytest.skip("cc not installed")


def build_processor_mask(folder: Path) -> None:
    library = folder / "processor_mask.so"
    command = ["cc", "-std=gnu11", "-O2", "-shared", "-fPIC", *WARNINGS, "-o", library, SOURCE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
