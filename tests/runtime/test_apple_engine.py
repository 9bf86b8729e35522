# SPDX-License-Identifier: Apache-2.0
"""The engine for Apple systems, compiled and linked on Linux: no Mac took part, and nothing of it ran.

PyPI's ziglang is a clang with Darwin's headers; LLVM's linker comes from the Debian 13 root; ExecuTorch is that of its
Python package for macOS, which pip fetches, or HQDIT_EXECUTORCH_MACOS names the unpacked wheel.
"""

import os
import plistlib
import re
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import mach_o
import pytest
from debian13 import need_debian13, run_in_debian13

pytestmark = [pytest.mark.native, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
EXPORT = ROOT / "export"
# Every processor that runs iOS 17 has at least these instructions.
CPU = "apple_a12"
WHEEL = ["--platform", "macosx_14_0_arm64", "--python-version", "3.11", "--only-binary=:all:", "--no-deps"]
LIBRARIES = ["", "_threadpool", "_kernels_optimized", "_backend_xnnpack"]
# Apple's "required reason" APIs that C code can call, as symbols (developer.apple.com/documentation/bundleresources/
# describing-use-of-required-reason-api).
REASONS = {
    "NSPrivacyAccessedAPICategoryFileTimestamp": r"_(f|l|fstat)?stat(at)?|_getattrlist(bulk|at)?|_fgetattrlist",
    "NSPrivacyAccessedAPICategorySystemBootTime": r"_mach_absolute_time",
    "NSPrivacyAccessedAPICategoryDiskSpace": r"_f?statv?fs",
}


def sources() -> list[Path]:
    """What ARM64 builds have: all but the x86 kernels and the operators for ONNX Runtime."""
    found = [*EXPORT.glob("kernels/src/**/*.cpp"), *EXPORT.glob("bindings/*.cpp"), *EXPORT.glob("sampler/src/**/*.cpp")]
    return sorted(
        path for path in found if "x86" not in path.parts and not path.name.startswith(("ort_", "onnxruntime"))
    )


def processor(source: Path) -> str:
    """The instruction sets that CMake allows this file: zig takes them as features of a processor, not as -march."""
    text = (EXPORT / "kernels" / "CMakeLists.txt").read_text()
    text = text.replace("${sme2_flags}", re.findall(r"set\(CMAKE_REQUIRED_FLAGS (\S+)\)", text)[0])
    name = source.relative_to(EXPORT).as_posix().removeprefix("kernels/")
    march = re.search(rf"SOURCE {re.escape(name)}\s+FLAGS\s+-march=[^+\s]+([^\s)]*)", text)
    return CPU + (march[1] if march else "")


@pytest.fixture(scope="module")
def zig() -> Path:
    spec = find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("ziglang is not installed: pip install 'hqdit-mobile[test]'")
    return Path(next(iter(spec.submodule_search_locations)))


def compile_all(zig: Path, target: str, files: list[Path], folder: Path) -> list[Path]:
    """Objects of `files`, with the warnings of export/cmake/flags.cmake as errors."""
    (folder / target).mkdir()
    spec = find_spec("executorch")
    assert spec is not None and spec.submodule_search_locations
    executorch = Path(next(iter(spec.submodule_search_locations))) / "include"
    flags = (EXPORT / "cmake" / "flags.cmake").read_text()
    warnings = re.findall(r"-W[a-z]+", flags)
    assert {"-Wall", "-Wextra", "-Wconversion"} <= set(warnings)
    system = [executorch, executorch / "executorch/runtime/core/portable_type/c10"]
    if "ios" in target:  # zig has headers for macOS only, which are the same for what we include
        system = [zig / "lib/libcxx/include", zig / "lib/libc/include/any-darwin-any", *system]
    ours = [EXPORT / name for name in ("kernels/include", "kernels/src", "bindings", "sampler/include", "sampler/src")]
    options = ["-std=c++17", "-O0", "-fno-sanitize=undefined", "-ffp-contract=off", "-fvisibility=hidden", *warnings]
    options += [
        "-DHQDIT_ARM64",
        "-DHQDIT_SME2",
        "-DET_USE_THREADPOOL",
        '-DHQDIT_VERSION="0"',
        "-DHQDIT_REGISTER_AT_LOAD",
        "-DC10_USING_CUSTOM_GENERATED_MACROS",
    ]
    options += [word for path in system for word in ("-isystem", str(path))] + [f"-I{path}" for path in ours]
    environment = os.environ | {f"ZIG_{kind}_CACHE_DIR": str(folder / "zig") for kind in ("GLOBAL", "LOCAL")}

    def compile_one(file: Path) -> Path:
        output = folder / target / f"{file.parent.name}-{file.stem}.o"
        command = [
            zig / "zig",
            "c++",
            "-target",
            target,
            f"-mcpu={processor(file)}",
            *options,
            "-c",
            file,
            "-o",
            output,
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{file.relative_to(ROOT)} for {target}:\n{done.stderr[-3000:]}"
        return output

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(compile_one, files))


@pytest.fixture(scope="module")
def objects(zig, tmp_path_factory) -> list[Path]:
    return compile_all(zig, "aarch64-macos.14.0", sources(), tmp_path_factory.mktemp("apple"))


def test_every_source_compiles_for_macos(objects):
    assert len(objects) == len(sources()) >= 44
    assert {mach_o.read(file).platform for file in objects} == {"macos"}


@pytest.mark.parametrize(("target", "platform"), [("ios.17.0", "ios"), ("ios.17.0-simulator", "ios-simulator")])
def test_what_talks_to_the_system_compiles_for_ios(zig, tmp_path, target, platform):
    """The other files include nothing that differs between Apple's systems."""
    system = re.compile(r"__APPLE__|#include <(sys|mach)/|#include <(unistd|fcntl|pthread|dlfcn)\.h>")
    files = [file for file in sources() if system.search(file.read_text())]
    assert {"process_memory.cpp"} <= {file.name for file in files}
    for file in compile_all(zig, f"aarch64-{target}", files, tmp_path):
        found = mach_o.read(file)
        assert (found.platform, found.minimum) == (platform, "17.0")


@pytest.fixture(scope="module")
def executorch(tmp_path_factory) -> Path:
    """The folder of ExecuTorch's libraries for macOS."""
    if given := os.environ.get("HQDIT_EXECUTORCH_MACOS"):
        return Path(given) / "executorch/lib"
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "-q", *WHEEL, "-d", folder, "executorch==1.5.1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"pip cannot fetch executorch 1.5.1 for macosx_14_0_arm64: {done.stderr.strip()[-300:]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        for name in LIBRARIES:
            wheel.extract(f"executorch/lib/libexecutorch{name}.dylib", folder)
    return folder / "executorch/lib"


@pytest.fixture(scope="module")
def library(zig, objects, executorch, tmp_path_factory) -> mach_o.MachO:
    """libhqdit.dylib as the framework has it, but with ExecuTorch outside, and the C++ library left open."""
    need_debian13()
    folder = tmp_path_factory.mktemp("link")
    exports, output = folder / "exports.txt", folder / "libhqdit.dylib"
    header = EXPORT / "sampler/include/hqdit.h"
    script = EXPORT / "cmake/exported_symbols.cmake"
    subprocess.run(["cmake", f"-DFILE={exports}", f"-DHEADERS={header}", "-P", script], check=True)
    options = ["-arch", "arm64", "-platform_version", "macos", "14.0", "14.0", "-dylib", "-dead_strip"]
    options += ["-exported_symbols_list", str(exports), "-undefined", "dynamic_lookup", "-o", str(output)]
    libraries = [executorch / f"libexecutorch{name}.dylib" for name in LIBRARIES]
    # The linker is older than the newest of the architectures that the list of the system's symbols names.
    system = folder / "libSystem.tbd"
    text = (zig / "lib/libc/darwin/libSystem.tbd").read_text()
    system.write_text(re.sub(r"arm64e\.x1-\w+,?", "", text))
    shared = (zig.resolve(), executorch.resolve())
    done = run_in_debian13("ld64.lld-21", *options, *objects, *libraries, system, shared=shared, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return mach_o.read(output)


def test_nothing_shows_but_the_functions_of_the_header(library):
    header = (EXPORT / "sampler/include/hqdit.h").read_text()
    declared = set(re.findall(r"^HQDIT_API .*?\b(hqdit_\w+)\(", header, re.M))
    assert len(declared) == 15
    assert library.exported == {f"_{name}" for name in declared}


def test_all_of_executorch_is_found(library, executorch, zig):
    """What stays open is of libSystem, of the C++ library, which zig has as sources only, and of the compiler's own
    library, which saves SME's state: CMake's check of the compiler finds out whether Xcode has that."""
    theirs = set().union(*(mach_o.read(file).exported for file in executorch.glob("*.dylib")))
    system = set(re.findall(r"[\w$]+", (zig / "lib/libc/darwin/libSystem.tbd").read_text()))
    language = re.compile(r"__Z.*St3__1|__Z(n|d|S|T|NK?St|NSt)|___cxa|___gxx|___arm_(sme|tpidr2|za)_")
    assert {name for name in library.undefined - theirs - system if not language.match(name)} == set()


def test_the_privacy_manifest_names_what_is_called(library, executorch):
    manifest = plistlib.loads((ROOT / "ios_demo/framework/PrivacyInfo.xcprivacy").read_bytes())
    declared = {entry["NSPrivacyAccessedAPIType"] for entry in manifest["NSPrivacyAccessedAPITypes"]}
    called = set().union(library.undefined, *(mach_o.read(file).undefined for file in executorch.glob("*.dylib")))
    needed = {category for category, names in REASONS.items() if any(re.fullmatch(names, name) for name in called)}
    assert needed <= declared
    assert declared == {"NSPrivacyAccessedAPICategoryFileTimestamp"}
