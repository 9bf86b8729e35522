# SPDX-License-Identifier: Apache-2.0
"""The engine for Apple systems, configured, compiled and linked on Linux: no Mac took part, and nothing of it ran.

CMake says what is compiled and how (apple_build.py). PyPI's ziglang is a clang with Darwin's headers; LLVM's linker
comes from the Debian 13 root; ExecuTorch is that of its Python package for macOS, which pip fetches, or
HQDIT_EXECUTORCH_MACOS names the unpacked wheel.
"""

import os
import plistlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import apple_build
import mach_o
import pytest
from apple_build import Build, Command
from debian13 import need_debian13, run_in_debian13
from native_build import digests

pytestmark = [pytest.mark.native, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
EXPORT = ROOT / "export"
FRAMEWORK = ROOT / "ios_demo/framework"
# zig's name of each system, and what an object file says of itself.
TARGETS = {
    "MacOSX": ("aarch64-macos.14.0", "macos", "14.0"),
    "iPhoneOS": ("aarch64-ios.17.0", "ios", "17.0"),
    "iPhoneSimulator": ("aarch64-ios.17.0-simulator", "ios-simulator", "17.0"),
}
WHEEL = ["--platform", "macosx_14_0_arm64", "--python-version", "3.11", "--only-binary=:all:", "--no-deps"]
LIBRARIES = ["", "_threadpool", "_kernels_optimized", "_backend_xnnpack"]
# Apple's "required reason" APIs that C code can call, as symbols (developer.apple.com/documentation/bundleresources/
# describing-use-of-required-reason-api).
REASONS = {
    "NSPrivacyAccessedAPICategoryFileTimestamp": r"_(f|l|fstat)?stat(at)?|_getattrlist(bulk|at)?|_fgetattrlist",
    "NSPrivacyAccessedAPICategorySystemBootTime": r"_mach_absolute_time",
    "NSPrivacyAccessedAPICategoryDiskSpace": r"_f?statv?fs",
}


def sources() -> set[Path]:
    """What ARM64 builds have: all but the x86 kernels."""
    found = [*EXPORT.glob("kernels/src/**/*.cpp"), *EXPORT.glob("bindings/*.cpp"), *EXPORT.glob("sampler/src/**/*.cpp")]
    return {path for path in found if "x86" not in path.parts}


@pytest.fixture(scope="module")
def executorch(tmp_path_factory) -> Path:
    """The folder of ExecuTorch for macOS."""
    if given := os.environ.get("HQDIT_EXECUTORCH_MACOS"):
        return Path(given) / "executorch"
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "-q", *WHEEL, "-d", folder, "executorch==1.5.1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"pip cannot fetch executorch 1.5.1 for macosx_14_0_arm64: {done.stderr.strip()[-300:]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        needed = re.compile(r"executorch/(lib/libexecutorch(" + "|".join(LIBRARIES) + r")\.dylib|.*\.cmake|include/.*)")
        wheel.extractall(folder, [name for name in wheel.namelist() if needed.fullmatch(name)])
    return folder / "executorch"


@pytest.fixture(scope="module")
def builds(executorch, tmp_path_factory) -> dict[str, Build]:
    """ios_demo/framework as build_framework.sh configures it for each SDK."""
    folder = tmp_path_factory.mktemp("configured")
    return {sdk: apple_build.configure(FRAMEWORK, folder / sdk, sdk, executorch) for sdk in TARGETS}


def test_every_source_is_in_every_build(builds):
    for sdk, build in builds.items():
        assert {command.source for command in build.commands} == sources(), sdk
        warnings = {"-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-ffp-contract=off"}
        assert all(warnings <= set(command.options) for command in build.commands), sdk
    assert len(sources()) >= 58


def test_kernels_for_sme_stay_off_in_xnnpack(builds):
    for build in builds.values():
        cache = (build.folder / "CMakeCache.txt").read_text()
        for option in ("EXECUTORCH_XNNPACK_ENABLE_KLEIDI", "XNNPACK_ENABLE_KLEIDIAI", "XNNPACK_ENABLE_ARM_SME2"):
            assert f"{option}:BOOL=OFF\n" in cache


def test_libraries_of_the_python_package_find_each_other_on_a_mac(executorch, tmp_path):
    build = apple_build.configure(EXPORT, tmp_path, "MacOSX", executorch)
    assert {command.source for command in build.commands} == sources()
    beside = "@loader_path/../../executorch/lib"
    expected = {"hqdit": {"@loader_path", beside}, "hqdit_ops": {beside}, "hqdit_ort": set()}
    assert {name: build.installed_rpaths(name) for name in expected} == expected
    for name in expected:
        assert not re.search(r"version-script|nodelete|\$ORIGIN|-soname", build.link_options(name)), "Linux's options"


@pytest.fixture(scope="module")
def zig() -> Path:
    spec = find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("ziglang is not installed: pip install 'hqdit-mobile[test]'")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


class Compiler:
    """zig for one of Apple's systems; headers that do not change are read once."""

    def __init__(self, zig: Path, sdk: str, folder: Path):
        self.program, self.target, self.folder = zig / "zig", TARGETS[sdk][0], folder
        self.environment = os.environ | {f"ZIG_{kind}_CACHE_DIR": str(folder / "zig") for kind in ("GLOBAL", "LOCAL")}
        # zig has the headers of Darwin, which its clang takes for macOS only unless it is told.
        self.headers = [f"-isystem{zig / name}" for name in ("lib/libcxx/include", "lib/libc/include/any-darwin-any")]
        self.precompiled: dict[bool, Path] = {}

    def run(self, *arguments: str | Path) -> None:
        options = ["-target", self.target, "-O0", "-fno-sanitize=undefined", *self.headers]
        command = [self.program, "c++", *options, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment)
        assert done.returncode == 0, f"{self.target}: {arguments[-1]}\n{done.stderr[-3000:]}"

    def precompile(self, commands: list[Command]) -> None:
        """The headers of the C++ library and of ExecuTorch, for the files with ExecuTorch and for the others."""
        for with_executorch in (False, True):
            group = [command for command in commands if ("-isystem" in command.options) == with_executorch]
            options = next(command.options for command in group if "+" not in command.processor)
            header = self.folder / f"{'executorch' if with_executorch else 'plain'}.h"
            names = set().union(*(re.findall(r"^#include <([\w/.]+)>$", c.source.read_text(), re.M) for c in group))
            # Not those that only some of the systems and of the packages have.
            kept = [name for name in names if re.fullmatch(r"[a-z_]+|executorch/(runtime|extension/mem).*", name)]
            header.write_text("".join(f"#include <{name}>\n" for name in sorted(kept)))
            output = header.with_suffix(".pch")
            plain = [word for word in options if not re.match(r"-D(HQDIT|hqdit)", word)]
            self.run(f"-mcpu={apple_build.CPU}", *plain, "-x", "c++-header", "-o", output, header)
            self.precompiled[with_executorch] = output

    def compile(self, command: Command) -> Path:
        output = self.folder / object_name(command)
        arguments = [f"-mcpu={command.processor}", *command.options]
        if "+" not in command.processor:  # a precompiled header is for one processor
            arguments += ["-include-pch", self.precompiled["-isystem" in command.options]]
        self.run(*arguments, "-c", "-o", output, command.source)
        return output


def object_name(command: Command) -> str:
    return f"{command.target}-{command.source.parent.name}-{command.source.stem}.o"


def compile_all(zig: Path, builds: dict[str, Build], folder: Path) -> None:
    """Leaves the object files in a folder for each SDK, and nothing else."""
    for sdk, build in builds.items():
        with tempfile.TemporaryDirectory() as scratch:
            compiler = Compiler(zig, sdk, Path(scratch))
            compiler.precompile(build.commands)
            with ThreadPoolExecutor(2) as pool:
                outputs = list(pool.map(compiler.compile, build.commands))
            (folder / sdk).mkdir()
            for output in outputs:
                shutil.move(output, folder / sdk)


@pytest.fixture(scope="module")
def objects(zig, builds, executorch, kept) -> dict[str, dict[str, list[Path]]]:
    """By SDK and library, every file compiled with CMake's own options."""
    texts = [f"{package} {version(package)}" for package in ("ziglang", "cmake")]
    options = [EXPORT, FRAMEWORK, Path(__file__).resolve(), Path(apple_build.__file__).resolve()]
    texts += digests(ROOT, options) + digests(executorch, [executorch])
    folder = kept("apple-objects", "\n".join(texts), lambda folder: compile_all(zig, builds, folder))
    found: dict[str, dict[str, list[Path]]] = {sdk: {} for sdk in builds}
    for sdk, build in builds.items():
        for command in build.commands:
            found[sdk].setdefault(command.target, []).append(folder / sdk / object_name(command))
    return found


@pytest.mark.parametrize("sdk", TARGETS)
def test_every_source_compiles(objects, builds, sdk):
    compiled = [file for files in objects[sdk].values() for file in files]
    assert len(set(compiled)) == len(builds[sdk].commands)
    _, platform, minimum = TARGETS[sdk]
    assert {(mach_o.read(file).platform, mach_o.read(file).minimum) for file in compiled} == {(platform, minimum)}


def test_what_ios_lacks_is_found(zig, tmp_path):
    """The headers are one set for all of Apple's systems, so what says where a function is must count."""
    missing = 'int missing() { return system("true"); }'
    later = "_Float16 later(_Float16 value) { return __sqrtf16(value); }"
    planted = tmp_path / "planted.cpp"
    planted.write_text(f"#include <math.h>\n#include <stdlib.h>\n{missing}\n{later}\n")
    with pytest.raises(AssertionError) as refused:
        Compiler(zig, "iPhoneOS", tmp_path).run("-Werror", "-c", "-o", tmp_path / "planted.o", planted)
    for complaint in ("error: 'system' is unavailable: not available on iOS", "is only available on iOS 18"):
        assert complaint in str(refused.value)


@pytest.fixture(scope="module")
def library(zig, builds, objects, executorch, tmp_path_factory) -> mach_o.MachO:
    """libhqdit.dylib as the framework for macOS has it, but with ExecuTorch outside, and the C++ library left open."""
    need_debian13()
    folder = tmp_path_factory.mktemp("link")
    built = objects["MacOSX"]
    archives = []
    for name in ("hqdit_ops", "hqdit_kernels"):
        archives.append(folder / f"lib{name}.a")
        subprocess.run([zig / "zig", "ar", "--format=darwin", "rcs", archives[-1], *built[name]], check=True)
    output = folder / "libhqdit.dylib"
    options = ["-arch", "arm64", "-platform_version", "macos", "14.0", "14.0", "-dylib", "-undefined", "dynamic_lookup"]
    options += re.findall(r"-Xlinker (\S+)", builds["MacOSX"].link_options("hqdit"))
    libraries = [executorch / f"lib/libexecutorch{name}.dylib" for name in LIBRARIES]
    # The linker is older than the newest of the architectures that the list of the system's symbols names.
    system = folder / "libSystem.tbd"
    text = (zig / "lib/libc/darwin/libSystem.tbd").read_text()
    system.write_text(re.sub(r"arm64e\.x1-\w+,?", "", text))
    arguments = [*options, "-o", output, *built["hqdit"], *archives, *libraries, system]
    done = run_in_debian13("ld64.lld-21", *arguments, shared=(zig, executorch.resolve()), cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return mach_o.read(output)


def test_nothing_shows_but_the_functions_of_the_header(library):
    header = (EXPORT / "sampler/include/hqdit.h").read_text()
    declared = set(re.findall(r"^HQDIT_API .*?\b(hqdit_\w+)\(", header, re.M))
    assert len(declared) >= 15
    assert library.exported == {f"_{name}" for name in declared}


def test_all_of_executorch_is_found(library, executorch, zig):
    """What stays open is of libSystem, of the C++ library, which zig has as sources only, and of the compiler's own
    library, which saves SME's state: CMake's check of the compiler finds out whether Xcode has that."""
    theirs = set().union(*(mach_o.read(file).exported for file in (executorch / "lib").glob("*.dylib")))
    system = set(re.findall(r"[\w$]+", (zig / "lib/libc/darwin/libSystem.tbd").read_text()))
    language = re.compile(r"__Z.*St3__1|__Z(n|d|S|T|NK?St|NSt)|___cxa|___gxx|___arm_(sme|tpidr2|za)_")
    assert {name for name in library.undefined - theirs - system if not language.match(name)} == set()
    # Our operators come into the library although nothing but their registration names them.
    assert any("register_kernel" in name for name in library.undefined)


def test_the_privacy_manifest_names_what_is_called(library, executorch):
    manifest = plistlib.loads((FRAMEWORK / "PrivacyInfo.xcprivacy").read_bytes())
    declared = {entry["NSPrivacyAccessedAPIType"] for entry in manifest["NSPrivacyAccessedAPITypes"]}
    libraries = (executorch / "lib").glob("*.dylib")
    called = set().union(library.undefined, *(mach_o.read(file).undefined for file in libraries))
    needed = {category for category, names in REASONS.items() if any(re.fullmatch(names, name) for name in called)}
    assert needed <= declared
    assert declared == {"NSPrivacyAccessedAPICategoryFileTimestamp"}
