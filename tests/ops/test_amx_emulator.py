# SPDX-License-Identifier: Apache-2.0
"""The emulator of AMX, by which its kernels are tested on other processors; on a processor with AMX, the processor."""

import signal
import subprocess

import pytest

# By the exceptions that Intel's manual lists for each instruction.
MISUSES = {
    signal.SIGILL: [
        "nothing configured", "released", "palette 0", "another thread's", "load into no tile", "stream into no tile",
        "store of no tile", "sum in no tile", "product of no tile", "square", "product with the sum", "other rows",
        "other columns", "other depth", "broken rows", "no instruction of AMX", "sent by a process",
    ],
    signal.SIGSEGV: [
        "palette 2", "17 rows", "65 bytes", "no rows", "no bytes", "byte 2", "byte 15", "tile 8", "rows of tile 8",
    ],
}  # fmt: skip


def test_instructions_do_what_plain_loops_do(amx_drivers):
    """Of all signs, sizes and forms of addresses."""
    done = subprocess.run([amx_drivers / "amx_check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("ends_by", "misuse"), [(number, what) for number in MISUSES for what in MISUSES[number]])
def test_misuse_ends_the_program(amx_drivers, ends_by, misuse):
    done = subprocess.run([amx_drivers / "amx_misuse", misuse], capture_output=True, text=True, check=False)
    assert done.returncode == -ends_by, done.stderr
