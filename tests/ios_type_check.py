# SPDX-License-Identifier: Apache-2.0
"""Type-checks the app on Linux: against stand-ins for Apple's modules, and against our own modules as they are."""

import subprocess
from pathlib import Path

from debian13 import run_in_debian13
from ios_checks import DEMO

STAND_INS = DEMO / "checks/modules"
SOURCES = {
    "CoreGraphics": [STAND_INS / "CoreGraphics.swift"],
    "UniformTypeIdentifiers": [STAND_INS / "UniformTypeIdentifiers.swift"],
    "os": [STAND_INS / "os.swift"],
    "Photos": [STAND_INS / "Photos.swift"],
    "UIKit": [STAND_INS / "UIKit.swift"],
    "AppIntents": [STAND_INS / "AppIntents.swift"],
    "SwiftUI": sorted((STAND_INS / "SwiftUI").glob("*.swift")),
    "HqDit": sorted((DEMO / "HqDit/Sources/HqDit").glob("*.swift")),
    "HqDitStudio": sorted((DEMO / "Studio/Sources/HqDitStudio").glob("*.swift")),
}
APP = sorted((DEMO / "App").glob("*.swift"))


def options(modules: Path) -> list[str]:
    maps = [f"-fmodule-map-file={DEMO}/HqDit/Sources/{name}/module.modulemap" for name in ("CHqDit", "CZlib")]
    clang = [word for option in maps for word in ("-Xcc", option)]
    return ["-swift-version", "6", "-parse-as-library", "-wmo", "-I", str(modules), *clang]


def build_modules(folder: Path) -> Path:
    """The modules that the app imports, in `folder`."""
    for name, sources in SOURCES.items():
        output = folder / f"{name}.swiftmodule"
        command = ["swiftc", *options(folder), "-emit-module", "-module-name", name, "-emit-module-path", output]
        done = run_in_debian13(*command, *sources)
        assert done.returncode == 0, done.stderr
    return folder


def type_check(modules: Path, sources: list[Path]) -> subprocess.CompletedProcess[str]:
    """Warnings are errors."""
    command = ["swiftc", *options(modules), "-typecheck", "-warnings-as-errors", "-module-name", "HqDitDemo"]
    return run_in_debian13(*command, *sources)


def document(folder: Path) -> subprocess.CompletedProcess[str]:
    """The library's pages, of its comments and of HqDit.docc; a link to nothing is an error. Needs build_modules."""
    (folder / "symbols").mkdir()
    maps = [word for word in options(folder) if word == "-Xcc" or word.startswith("-fmodule-map-file")]
    module = ["-module-name", "HqDit", "-I", folder, "-target", "x86_64-pc-linux-gnu"]
    done = run_in_debian13("swift-symbolgraph-extract", *module, *maps, "-output-dir", folder / "symbols")
    assert done.returncode == 0, done.stderr
    catalog = DEMO / "HqDit/Sources/HqDit/HqDit.docc"
    graphs = ["--additional-symbol-graph-dir", folder / "symbols", "--output-path", folder / "HqDit.doccarchive"]
    names = ["--fallback-display-name", "HqDit", "--fallback-bundle-identifier", "org.hqdit.mobile.HqDit"]
    return run_in_debian13("docc", "convert", catalog, *graphs, *names, "--warnings-as-errors")
