# SPDX-License-Identifier: Apache-2.0
"""Builds the programs of tests/native: for 64-bit ARM under QEMU, with SME2, and for this processor with sanitizers."""

import shutil
import subprocess
from pathlib import Path

import pytest
from debian13 import need_debian13, run_in_debian13

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


def need_sme2() -> None:
    need_debian13()
    for package in ("cmake", "ninja"):  # the root has neither
        pytest.importorskip(package)


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


def build_for_sme2(folder: Path) -> None:
    """By clang 21 in the Debian 13 root: the machine's own cross compiler knows no SME2."""
    import cmake
    import ninja

    program, maker = (Path(cmake.CMAKE_BIN_DIR, "cmake").resolve(), Path(ninja.BIN_DIR, "ninja").resolve())
    settings = {
        "SYSTEM_NAME": "Linux",
        "SYSTEM_PROCESSOR": "aarch64",
        "CXX_COMPILER": "clang++-21",
        "CXX_COMPILER_TARGET": "aarch64-linux-gnu",
        "BUILD_TYPE": "Release",
        "EXE_LINKER_FLAGS": "-static",
        "MAKE_PROGRAM": maker,
    }
    options = [f"-DCMAKE_{name}={value}" for name, value in settings.items()]
    configure = [program, "-S", ROOT / "tests/native", "-B", folder, "-G", "Ninja", *options]
    targets = ["--target", "kernel_driver", "float_ops_driver"]
    for command in (configure, [program, "--build", folder, "--parallel", "2", *targets]):
        result = run_in_debian13(*command, shared=(program.parent.parent, maker.parent))
        assert result.returncode == 0, result.stdout + result.stderr


def build_with_sanitizers(folder: Path) -> None:
    # With -O1, since the checks around every vector load make higher levels slow to compile.
    build(folder, "-DHQDIT_SANITIZE=address,undefined", "-DCMAKE_CXX_FLAGS=-O1")
