# SPDX-License-Identifier: Apache-2.0
"""What our native code adds to a program."""

import shutil
import subprocess

import pytest

from hqdit_mobile.ops.native import library_path


def test_engine_and_operators_take_less_than_a_megabyte(tmp_path):
    if shutil.which("strip") is None:
        pytest.skip("not found: strip (Debian: binutils)")
    size = 0
    for name in ("hqdit", "hqdit_ops"):
        stripped = tmp_path / name
        subprocess.run(["strip", "--strip-unneeded", library_path(name), "-o", stripped], check=True)
        size += stripped.stat().st_size
    assert size < 1_000_000
