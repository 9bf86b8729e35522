# SPDX-License-Identifier: Apache-2.0
"""The kernels built on their own: for 64-bit ARM under QEMU, and for this processor with sanitizers."""

import shutil
import subprocess
from pathlib import Path

import pytest
from kernel_cases import ISAS, Case, assert_same_bits, make_case, random_case, read_outputs, write_cases

ROOT = Path(__file__).parent.parent
ARM = ["aarch64-linux-gnu-g++", "qemu-aarch64-static"]


def need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")


def build(folder: Path, *options: str) -> Path:
    need("cmake", "ninja")
    configure = ["cmake", "-S", ROOT / "tests/native", "-B", folder, "-G", "Ninja", *options]
    for command in (configure, ["cmake", "--build", folder, "--parallel", "2"]):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    return folder / "kernel_driver"


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Random ones, and DiT's own sizes with enough tokens for whole tiles and their rests."""
    chosen = [random_case(seed) for seed in range(100)]
    for seed, (n, k, rotation) in enumerate([(384, 384, 32), (100, 1152, 1152), (40, 1536, 128), (1152, 384, 384)]):
        for activation in ("int8", "fp4"):
            chosen.append(
                make_case(
                    seed, 19, n, k, group=16, rotation=rotation, activation=activation, activation_group=16 + 16 * seed
                )
            )
    return chosen


@pytest.fixture(scope="module")
def expected(cases):
    return [case.reference() for case in cases]


def check(command: list, tmp_path: Path, cases, expected) -> None:
    write_cases(tmp_path / "cases", cases)
    result = subprocess.run(
        [*map(str, command), tmp_path / "cases", tmp_path / "outputs"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    for actual, wanted in zip(read_outputs(tmp_path / "outputs", cases), expected, strict=True):
        assert_same_bits(actual, wanted)


@pytest.fixture(scope="module")
def arm_driver(tmp_path_factory) -> Path:
    need(*ARM)
    toolchain = ROOT / "export/cmake/aarch64-linux-gnu.cmake"
    return build(
        tmp_path_factory.mktemp("arm"),
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_EXE_LINKER_FLAGS=-static",
    )


@pytest.mark.parametrize("isa", ["scalar", "dotprod", "i8mm"])
def test_arm_gives_the_same_bits(arm_driver, isa, tmp_path, cases, expected):
    check(["qemu-aarch64-static", "-cpu", "max", arm_driver, isa, 1], tmp_path, cases, expected)


def test_arm_without_dot_products_falls_back(arm_driver, tmp_path, cases, expected):
    """Cortex-A72 has neither instruction: the driver must know before it executes one."""
    emulator = ["qemu-aarch64-static", "-cpu", "cortex-a72", arm_driver]
    check([*emulator, "scalar", 1], tmp_path, cases[:20], expected[:20])
    refused = subprocess.run([*emulator, "dotprod", "1", "none", "none"], capture_output=True, text=True, check=False)
    assert "lacks the instruction set" in refused.stderr


@pytest.fixture(scope="module")
def sanitized_driver(tmp_path_factory) -> Path:
    need("c++")
    # With -O1, since the checks around every vector load make higher levels slow to compile.
    return build(tmp_path_factory.mktemp("sanitized"), "-DHQDIT_SANITIZE=address,undefined", "-DCMAKE_CXX_FLAGS=-O1")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("isa", ISAS)
def test_sanitizers_find_nothing(sanitized_driver, isa, threads, tmp_path, cases, expected):
    refused = subprocess.run([sanitized_driver, isa, "1", "none", "none"], capture_output=True, text=True, check=False)
    if "lacks the instruction set" in refused.stderr:
        pytest.skip(f"this processor has no {isa}")
    check([sanitized_driver, isa, threads], tmp_path, cases, expected)
