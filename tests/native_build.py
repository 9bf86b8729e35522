# SPDX-License-Identifier: Apache-2.0
"""Builds the programs of tests/native: for 64-bit ARM under QEMU, and for this processor with sanitizers."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ARM = ["aarch64-linux-gnu-g++", "qemu-aarch64-static"]


def need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")


def need_arm() -> None:
    need("cmake", "ninja", *ARM)


def need_compiler() -> None:
    need("cmake", "ninja", "c++")


def build(folder: Path, *options: str) -> None:
    """Leaves the programs in the folder."""
    configure = ["cmake", "-S", ROOT / "tests/native", "-B", folder, "-G", "Ninja", *options]
    for command in (configure, ["cmake", "--build", folder, "--parallel", "2"]):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def build_for_arm(folder: Path) -> None:
    toolchain = ROOT / "export/cmake/aarch64-linux-gnu.cmake"
    options = [f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DCMAKE_BUILD_TYPE=Release"]
    build(folder, *options, "-DCMAKE_EXE_LINKER_FLAGS=-static")


def build_with_sanitizers(folder: Path) -> None:
    # With -O1, since the checks around every vector load make higher levels slow to compile.
    build(folder, "-DHQDIT_SANITIZE=address,undefined", "-DCMAKE_CXX_FLAGS=-O1")
