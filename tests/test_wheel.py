# SPDX-License-Identifier: Apache-2.0
"""What pip built and installed works on another machine of the platform (docs/release.md): it holds no path of this
one, looks for libraries beside itself only, and needs none that other machines lack."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Of glibc, the compiler, ExecuTorch's package and ours. Python's own library is not among them: no extension module.
EVERYWHERE = re.compile(
    r"(libc|libm|libpthread|libdl|librt|libgcc_s|libstdc\+\+|ld-linux[\w-]*|libexecutorch\w*|libhqdit\w*)\.so"
)
INSTALLED = [Path(file.locate()) for file in files("hqdit-mobile") or []]
LIBRARIES = [path for path in INSTALLED if path.suffix in (".so", ".dylib")]


def dynamic(library: Path, entry: str) -> list[str]:
    """The values of one kind of entry in the dynamic section, such as NEEDED."""
    if shutil.which("readelf") is None or sys.platform != "linux":
        pytest.skip("needs readelf of GNU binutils")
    done = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True)
    return re.findall(rf"\({entry}\).*\[(.*)\]", done.stdout)


def test_the_three_libraries_are_installed():
    assert {path.stem for path in LIBRARIES} == {"libhqdit", "libhqdit_ops", "libhqdit_ort"}


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_libraries_say_nothing_of_the_machine_that_built_them(library):
    data = library.read_bytes()
    for folder in (ROOT, Path.home(), Path(sys.prefix)):
        assert str(folder).encode() + b"/" not in data, f"{library.name} names {folder}"


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_libraries_look_beside_themselves_and_need_what_is_everywhere(library):
    paths = [path for value in dynamic(library, "RUNPATH") + dynamic(library, "RPATH") for path in value.split(":")]
    assert all(path.startswith("$ORIGIN") for path in paths), paths
    assert not [name for name in dynamic(library, "NEEDED") if not EVERYWHERE.match(name)]


def test_no_instruction_set_of_the_building_machine():
    """Kernels name the instruction sets that they are written for; nothing follows the machine that compiles."""
    builds = [*(ROOT / "export").rglob("CMakeLists.txt"), *(ROOT / "export").rglob("*.cmake")]
    assert len(builds) > 5
    assert not [path for path in builds if re.search(r"-m(arch|cpu|tune)=native", path.read_text())]


def test_no_source_of_the_native_part_is_installed():
    assert not [path for path in INSTALLED if path.suffix in (".cpp", ".h", ".in") or path.name == "CMakeLists.txt"]
