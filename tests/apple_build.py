# SPDX-License-Identifier: Apache-2.0
"""Our CMake projects as a Mac configures them, on Linux: no compiler runs, but every command is there to be read.

ExecuTorch is that of its Python package for macOS. Where a project would fetch ExecuTorch's sources, a stand-in with
the same targets names that package instead.
"""

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

# Every processor that runs iOS 17 has at least these instructions.
CPU = "apple_a12"
COMPILER = "AppleClang"
# What ios_demo/build_framework.sh and pip on a Mac ask for: the SDK, CMake's name of the system, the oldest version.
SYSTEMS = {"MacOSX": ("Darwin", "14.0"), "iPhoneOS": ("iOS", "17.0"), "iPhoneSimulator": ("iOS", "17.0")}
STAND_IN = """
cmake_minimum_required(VERSION 3.28)
project(executorch LANGUAGES CXX)
foreach(name executorch extension_threadpool executorch_backends executorch_extensions executorch_kernels)
  add_library(${name} INTERFACE)
  string(REPLACE executorch_ executorch:: alias ${name})
  if(NOT alias STREQUAL name)
    add_library(${alias} ALIAS ${name})
  endif()
endforeach()
target_include_directories(executorch SYSTEM INTERFACE ${FOLDER}/include)
target_include_directories(executorch SYSTEM INTERFACE ${FOLDER}/include/executorch/runtime/core/portable_type/c10)
target_compile_definitions(executorch INTERFACE C10_USING_CUSTOM_GENERATED_MACROS ET_USE_THREADPOOL)
"""


@dataclass(frozen=True)
class Command:
    """How CMake compiles one file."""

    source: Path
    target: str
    words: tuple[str, ...]

    @property
    def processor(self) -> str:
        """The instruction sets that CMake allows: zig takes them as features of a processor, not as -march."""
        march = [word for word in self.words if word.startswith("-march=")]
        return CPU + (re.sub(r"^-march=[^+]+", "", march[-1]) if march else "")

    @property
    def options(self) -> list[str]:
        """Without what names the compiler, its Mac and its optimization."""
        kept, words = [], iter(self.words[1:])
        for word in words:
            if word in ("-arch", "-isysroot", "-o", "-c"):
                next(words)
            elif word == "-isystem":
                kept += [word, next(words)]
            elif not re.match(r"-(march=|O|m[a-z-]+-version-min=)", word):
                kept.append(word)
        return kept


@dataclass(frozen=True)
class Build:
    folder: Path

    @property
    def commands(self) -> list[Command]:
        found = []
        for entry in json.loads((self.folder / "compile_commands.json").read_text()):
            words = tuple(shlex.split(entry["command"]))
            (target,) = re.findall(r"CMakeFiles/(\w+)\.dir/", words[words.index("-o") + 1])
            found.append(Command(Path(entry["file"]), target, words))
        return found

    def link_options(self, library: str) -> str:
        """What the linker is told of a shared library."""
        text = (self.folder / "build.ninja").read_text()
        (rule,) = re.findall(rf"^build \S*lib{library}\.dylib: CXX_SHARED.*\n((?:  .*\n)*)", text, re.M)
        return rule

    def installed_rpaths(self, library: str) -> set[str]:
        """Where an installed library looks for the others."""
        found = set()
        for script in self.folder.rglob("cmake_install.cmake"):
            for call in re.findall(r"execute_process\(COMMAND [^)]*\)", script.read_text()):
                if f"lib{library}.dylib" in call:
                    found |= set(re.findall(r'-add_rpath "([^"]*)"', call))
        return found


def configure(source: Path, folder: Path, sdk: str, executorch: Path, *options: str) -> Build:
    """`source` for an SDK of Apple, in `folder`; `executorch` is the folder of the Python package for macOS."""
    programs = pytest.importorskip("cmake"), pytest.importorskip("ninja")
    cmake, ninja = Path(programs[0].CMAKE_BIN_DIR, "cmake"), Path(programs[1].BIN_DIR, "ninja")
    stand_in = folder / "executorch-source"
    stand_in.mkdir(parents=True)
    (stand_in / "CMakeLists.txt").write_text(STAND_IN.replace("${FOLDER}", str(executorch)))
    system, minimum = SYSTEMS[sdk]
    (folder / f"{sdk}.sdk").mkdir()
    settings = {
        "CMAKE_MAKE_PROGRAM": str(ninja),
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_SYSTEM_NAME": system,
        "CMAKE_SYSTEM_PROCESSOR": "arm64",
        "CMAKE_OSX_SYSROOT": str(folder / f"{sdk}.sdk"),
        "CMAKE_OSX_ARCHITECTURES": "arm64",
        "CMAKE_OSX_DEPLOYMENT_TARGET": minimum,
        "CMAKE_EXPORT_COMPILE_COMMANDS": "ON",
        "CMAKE_PREFIX_PATH": str(executorch),
        "FETCHCONTENT_SOURCE_DIR_EXECUTORCH": str(stand_in),
        # Stand-ins for the Mac's programs, and what CMake would find out by running them.
        "CMAKE_C_COMPILER": "/bin/false",
        "CMAKE_CXX_COMPILER": "/bin/false",
        "CMAKE_INSTALL_NAME_TOOL": "/bin/false",
        "CMAKE_CXX_COMPILE_FEATURES": "cxx_std_11;cxx_std_14;cxx_std_17",
        "HQDIT_COMPILER_HAS_SME2": "ON",
    }
    for language in ("C", "CXX"):
        settings |= {
            f"CMAKE_{language}_COMPILER_FORCED": "ON",
            f"CMAKE_{language}_COMPILER_ID_RUN": "ON",
            f"CMAKE_{language}_COMPILER_ID": COMPILER,
            f"CMAKE_{language}_COMPILER_VERSION": "17.0",
            f"CMAKE_{language}_STANDARD_COMPUTED_DEFAULT": "17",
        }
    given = [f"-D{name}={value}" for name, value in settings.items()]
    command = [cmake, "-S", source, "-B", folder / "build", "-G", "Ninja", *given, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Build(folder / "build")
