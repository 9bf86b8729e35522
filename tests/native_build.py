# SPDX-License-Identifier: Apache-2.0
"""Builds the programs of tests/native: for 64-bit ARM under QEMU, with SME2, with AMX emulated, and for this processor
with sanitizers."""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from debian13 import need_debian13, run_in_debian13

from hqdit_mobile.bench.amx import cpu_flags

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


def need_amx() -> None:
    """Of AMX's own instructions the processor needs none (tests/native/amx_emulator.cpp)."""
    need_compiler()
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("AMX is for Linux on x86-64")
    if "avx512vbmi" not in cpu_flags():
        pytest.skip("this processor has no AVX-512 VBMI, which the AMX kernels need")


def made_of(compiler: str, *paths: str, run: Callable[..., subprocess.CompletedProcess[str]] | None = None) -> str:
    """What decides the programs that the compiler makes of files and folders of the repository: for conftest's `kept`.
    `paths` names the Python file with the options, too."""
    version = (run or run_here)(compiler, "-v")  # its target, too
    assert version.returncode == 0, version.stderr
    environment = [f"{name}={os.environ.get(name)}" for name in ("CXX", "CXXFLAGS", "LDFLAGS")]  # CMake reads them
    return "\n".join([version.stderr, *environment, *digests(ROOT, [ROOT / path for path in paths])])


def digests(root: Path, named: list[Path]) -> list[str]:
    """Of these files below `root`, and of all files in these folders."""
    files = [path for item in named for path in (sorted(item.rglob("*")) if item.is_dir() else [item])]
    return [
        f"{path.relative_to(root)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in files
        if path.is_file() and "__pycache__" not in path.parts
    ]


def drivers_made_of(compiler: str, run: Callable[..., subprocess.CompletedProcess[str]] | None = None) -> str:
    folders = ("export/kernels", "export/cmake", "tests/native", "tests/fuzz")
    return made_of(compiler, *folders, "tests/native_build.py", run=run)


def run_here(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def build(folder: Path, *options: str, target: str = "all") -> None:
    """Leaves the programs in the folder, and nothing else."""
    with tempfile.TemporaryDirectory() as tree:
        settings = ["-G", "Ninja", f"-DCMAKE_RUNTIME_OUTPUT_DIRECTORY={folder}", *options]
        configure = ["cmake", "-S", ROOT / "tests/native", "-B", tree, *settings]
        for command in (configure, ["cmake", "--build", tree, "--parallel", "2", "--target", target]):
            result = run_here(*command)
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
        "RUNTIME_OUTPUT_DIRECTORY": folder,
    }
    options = [f"-DCMAKE_{name}={value}" for name, value in settings.items()]
    targets = ["--target", "kernel_driver", "float_ops_driver"]
    with tempfile.TemporaryDirectory() as tree:
        configure = [program, "-S", ROOT / "tests/native", "-B", tree, "-G", "Ninja", *options]
        for command in (configure, [program, "--build", tree, "--parallel", "2", *targets]):
            result = run_in_debian13(*command, shared=(program.parent.parent, maker.parent, folder))
            assert result.returncode == 0, result.stdout + result.stderr


def build_with_sanitizers(folder: Path) -> None:
    # With -O1, since the checks around every vector load make higher levels slow to compile.
    build(folder, "-DHQDIT_SANITIZE=address,undefined", "-DCMAKE_CXX_FLAGS=-O1")


def build_for_amx(folder: Path) -> None:
    """Optimized as users' are: GCC 12's intrinsics for tiles do not say that they read memory."""
    build(folder, "-DCMAKE_BUILD_TYPE=Release", target="amx_drivers")


def program_for(isa: str, folder: Path, driver: str) -> Path:
    """The driver among the folder's programs that runs this instruction set, which for AMX is one that can emulate it;
    skips the test if none can."""
    emulating = folder / f"{driver}_amx"
    program = emulating if isa == "amx" and emulating.is_file() else folder / driver
    if "has no such instruction set" in run_here(program, isa, "1", os.devnull, os.devnull).stderr:
        pytest.skip(f"this processor has no {isa}")
    return program
