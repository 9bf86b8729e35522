# SPDX-License-Identifier: Apache-2.0
"""The ARM kernels' loops on a model of the processor: what docs/performance.md says of them stays true."""

import arm_loops
import pytest
from native_build import need

SUFFIX = "-19"


@pytest.mark.arm
@pytest.mark.parametrize(
    ("source", "instruction", "cpu", "least"),
    [
        ("dotprod", "sdot", "cortex-a55", 0.8),
        ("dotprod", "sdot", "cortex-a76", 0.99),
        ("i8mm", "smmla", "cortex-x2", 0.99),
    ],
)
def test_a_loop_waits_for_little_but_its_products(source, instruction, cpu, least):
    need(*(f"{program}{SUFFIX}" for program in ("clang++", "llvm-mca")), "aarch64-linux-gnu-g++")
    loop = arm_loops.tile_loop(source, instruction, cpu, SUFFIX)
    assert arm_loops.share_of_limit(loop, instruction, cpu, SUFFIX) >= least
