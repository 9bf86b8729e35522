# SPDX-License-Identifier: Apache-2.0
"""What functions the files of one instruction set are left with."""

import re
import subprocess
from pathlib import Path

import pytest
from native_build import ROOT, need


def functions(build_type: str, folder: Path) -> dict[str, list[tuple[str, str]]]:
    """For each file of an instruction set its symbols, as nm has them: kind and name."""
    need("cmake", "ninja", "nm")
    options = [f"-DCMAKE_BUILD_TYPE={build_type}", "-DCMAKE_POSITION_INDEPENDENT_CODE=ON"]
    configure = ["cmake", "-S", ROOT / "export/kernels", "-B", folder, "-G", "Ninja", *options]
    for command in (configure, ["cmake", "--build", folder, "--parallel", "2"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    objects = [path for path in folder.rglob("*.o") if "arch" in path.parts]
    if not objects:
        pytest.skip("this processor has no instruction sets of its own")
    symbols = {}
    for path in objects:
        listing = subprocess.run(["nm", "-C", "--defined-only", path], capture_output=True, text=True, check=True)
        lines = (line.split(maxsplit=2) for line in listing.stdout.splitlines())
        symbols[path.name] = [(kind, name) for _, kind, name in lines]
    return symbols


@pytest.mark.slow
@pytest.mark.native
def test_functions_of_an_instruction_set_are_its_own(tmp_path):
    """No file of one instruction set defines a function that the linker may take for all files. At -O0 the compiler
    inlines nothing. What is then a weak symbol in a file for AVX-512 may be linked in place of another file's copy, and
    stop a processor that has no AVX-512."""
    for file, symbols in functions("Debug", tmp_path).items():
        assert not [name for kind, name in symbols if kind == "W"], file


@pytest.mark.slow
@pytest.mark.native
def test_what_is_unrolled_is_inlined(tmp_path):
    """A part of a loop that the compiler leaves as a function gets the loop's sums by reference. They are then in
    memory instead of registers, and the loop takes twice as long."""
    for file, symbols in functions("Release", tmp_path).items():
        bodies = [name for kind, name in symbols if kind == "t" and re.search(r"lambda.*::operator\(\)", name)]
        assert not [name for name in bodies if not re.search("call_with|choose_count", name)], file
