# SPDX-License-Identifier: Apache-2.0
"""No file of one instruction set defines a function that the linker may take for all files."""

import subprocess

import pytest
from native_build import ROOT, need


@pytest.mark.slow
@pytest.mark.native
def test_functions_of_an_instruction_set_are_its_own(tmp_path):
    """At -O0 the compiler inlines nothing. What is then a weak symbol in a file for AVX-512 may be linked in place of
    another file's copy, and stop a processor that has no AVX-512."""
    need("cmake", "ninja", "nm")
    configure = ["cmake", "-S", ROOT / "export/kernels", "-B", tmp_path, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug"]
    for command in (configure, ["cmake", "--build", tmp_path, "--parallel", "2"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    objects = [path for path in tmp_path.rglob("*.o") if "arch" in path.parts]
    if not objects:
        pytest.skip("this processor has no instruction sets of its own")
    for path in objects:
        listing = subprocess.run(["nm", "-C", "--defined-only", path], capture_output=True, text=True, check=True)
        shared = [line for line in listing.stdout.splitlines() if line.split()[1] == "W"]
        assert not shared, f"{path.name}: {shared}"
