# SPDX-License-Identifier: Apache-2.0
"""Processes on a processor that lacks instruction sets: what tests/tools/processor_mask.c needs, and builds it."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hqdit_mobile.bench.amx import cpu_flags

SOURCE = Path(__file__).parent / "tools/processor_mask.c"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


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
