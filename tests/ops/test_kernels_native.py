# SPDX-License-Identifier: Apache-2.0
"""The kernels built on their own: for 64-bit ARM under QEMU, and for this processor with sanitizers."""

import subprocess
from pathlib import Path

import pytest
from kernel_cases import ISAS, Case, assert_same_bits, make_case, random_case, read_outputs, write_cases

DRIVER = "kernel_driver"


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
    chosen[-1].gelu = True
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


@pytest.mark.parametrize("isa", ["scalar", "dotprod", "i8mm"])
def test_arm_gives_the_same_bits(arm_drivers, isa, tmp_path, cases, expected):
    check(["qemu-aarch64-static", "-cpu", "max", arm_drivers / DRIVER, isa, 1], tmp_path, cases, expected)


def test_arm_without_dot_products_falls_back(arm_drivers, tmp_path, cases, expected):
    """Cortex-A72 has neither instruction: the driver must know before it executes one."""
    emulator = ["qemu-aarch64-static", "-cpu", "cortex-a72", arm_drivers / DRIVER]
    check([*emulator, "scalar", 1], tmp_path, cases[:20], expected[:20])
    refused = subprocess.run([*emulator, "dotprod", "1", "none", "none"], capture_output=True, text=True, check=False)
    assert "has no such instruction set" in refused.stderr


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("isa", ISAS)
def test_sanitizers_find_nothing(sanitized_drivers, isa, threads, tmp_path, cases, expected):
    probe = [sanitized_drivers / DRIVER, isa, "1", "none", "none"]
    refused = subprocess.run(probe, capture_output=True, text=True, check=False, cwd=tmp_path)
    if "has no such instruction set" in refused.stderr:
        pytest.skip(f"this processor has no {isa}")
    check([sanitized_drivers / DRIVER, isa, threads], tmp_path, cases, expected)
