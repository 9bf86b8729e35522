# SPDX-License-Identifier: Apache-2.0
"""The kernels built on their own: for 64-bit ARM under QEMU, with AMX emulated, and for this processor with
sanitizers."""

import subprocess
from itertools import product
from pathlib import Path

import pytest
from debian13 import run_in_debian13
from kernel_cases import (
    ARM_ISAS,
    ISAS,
    Case,
    assert_same_bits,
    extreme_case,
    make_case,
    many_blocks_cases,
    random_case,
    read_outputs,
    write_cases,
)
from native_build import program_for

from hqdit_mobile.ops.fp4_linear import ACTIVATIONS

DRIVER = "kernel_driver"


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Random ones, DiT's own sizes with enough tokens for whole tiles and their rests, and the largest sums."""
    chosen = [random_case(seed) for seed in range(100)]
    for seed, (n, k, rotation) in enumerate([(384, 384, 32), (100, 1152, 1152), (40, 1536, 128), (1152, 384, 384)]):
        for activation in ("int8", "fp4"):
            chosen.append(
                make_case(
                    seed, 19, n, k, group=16, rotation=rotation, activation=activation, activation_group=16 + 16 * seed
                )
            )
    chosen[-1].gelu = True
    return chosen + [extreme_case(seed) for seed in range(40)] + many_blocks_cases()


@pytest.fixture(scope="module")
def expected(cases):
    return [case.reference() for case in cases]


def run_here(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check(command: list, tmp_path: Path, cases, expected, run=run_here) -> None:
    write_cases(tmp_path / "cases", cases)
    result = run(*map(str, [*command, tmp_path / "cases", tmp_path / "outputs"]))
    assert result.returncode == 0, result.stdout + result.stderr
    for actual, wanted in zip(read_outputs(tmp_path / "outputs", cases), expected, strict=True):
        assert_same_bits(actual, wanted)


@pytest.mark.parametrize("isa", ["scalar", *ARM_ISAS])
def test_arm_gives_the_same_bits(arm_drivers, isa, tmp_path, cases, expected):
    check(["qemu-aarch64-static", "-cpu", "max", arm_drivers / DRIVER, isa, 1], tmp_path, cases, expected)


@pytest.mark.parametrize("processor", ["cortex-a53", "cortex-a72"])
def test_arm_without_dot_products(arm_drivers, processor, tmp_path, cases, expected):
    """These have neither SDOT nor SMMLA: the driver must know before it executes one."""
    emulator = ["qemu-aarch64-static", "-cpu", processor, arm_drivers / DRIVER]
    check([*emulator, "neon", 1], tmp_path, cases, expected)
    check([*emulator, "scalar", 1], tmp_path, cases[:20], expected[:20])
    refused = subprocess.run([*emulator, "dotprod", "1", "none", "none"], capture_output=True, text=True, check=False)
    assert "has no such instruction set" in refused.stderr


def sme2_command(drivers, *settings: str, vector_bytes: int = 64) -> list:
    """kernel_driver on a processor with SME2, whose vectors in streaming mode are so long."""
    processor = f"max,sme-default-vector-length={vector_bytes}"
    return [*settings, "qemu-aarch64", "-cpu", processor, drivers / DRIVER]


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
def test_sme2_gives_the_same_bits(sme2_drivers, vector_bytes, tmp_path, cases, expected):
    command = [*sme2_command(sme2_drivers, vector_bytes=vector_bytes), "sme2", 1]
    check(command, tmp_path, cases, expected, run_in_debian13)


def test_sme2_can_be_denied(sme2_drivers, tmp_path, cases, expected):
    check([*sme2_command(sme2_drivers), "i8mm", 1], tmp_path, cases[:20], expected[:20], run_in_debian13)
    without = ["qemu-aarch64", "-cpu", "max,sme=off", sme2_drivers / DRIVER]
    for command in (sme2_command(sme2_drivers, "env", "HQDIT_NO_SME=1"), without):
        refused = run_in_debian13(*command, "sme2", "1", "none", tmp_path / "outputs")
        assert "has no such instruction set" in refused.stderr
    command = sme2_command(sme2_drivers, "env", "HQDIT_NO_SME=0")
    allowed = run_in_debian13(*command, "sme2", "1", "none", tmp_path / "outputs")
    assert "cannot open the files" in allowed.stderr


@pytest.fixture(scope="module")
def tile_cases() -> list[Case]:
    """Around whole tiles of 16 tokens, 16 channels and 64 inputs; so many inputs that tokens go through them in strips
    of 128, a part at a time; and the most inputs, at their largest."""
    tokens = [1, 2, 3, 15, 16, 17, 31, 32, 33, 48, 49, 64, 65, 127, 128, 129, 160, 161, 290]
    sizes = [*product(tokens, [16, 48, 64, 80, 208])]
    sizes += [(2, 1168), (17, 1152), (33, 1168), (129, 1216), (161, 2320), (9, 3616)]
    chosen = [
        make_case(
            seed, rows, n=[7, 16, 17, 32, 33, 100][seed % 6], k=k, group=[16, 48, k][(rows + k // 16) % 3], rotation=1,
            activation=ACTIVATIONS[seed % 7 % 3], activation_group=16,
        )
        for seed, (rows, k) in enumerate(sizes)
    ]  # fmt: skip
    for rows in (2, 3):
        case = make_case(0, rows, 16, 133_120, group=133_120, rotation=1, activation="int8", activation_group=16)
        case.x[:], case.codes[:], case.tables[:] = 127, 0x77, 27  # 18 * 7
        chosen.append(case)
    return chosen


@pytest.mark.parametrize("threads", [1, 3])
def test_amx_gives_the_same_bits(amx_drivers, threads, tmp_path, cases, expected, tile_cases):
    driver = program_for("amx", amx_drivers, DRIVER)
    references = [case.reference() for case in tile_cases]
    check([driver, "amx", threads], tmp_path, [*cases, *tile_cases], [*expected, *references])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("isa", ISAS)
def test_sanitizers_find_nothing(sanitized_drivers, isa, threads, tmp_path, cases, expected):
    check([program_for(isa, sanitized_drivers, DRIVER), isa, threads], tmp_path, cases, expected)
