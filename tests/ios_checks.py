# SPDX-License-Identifier: Apache-2.0
"""What the iOS tests share: Swift packages built and tested in the Debian 13 root, over the installed engine."""

import re
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from debian13 import REPOSITORY, need_debian13, run_in_debian13

from hqdit_mobile.ops.native import library_path

DEMO = REPOSITORY / "ios_demo"


@cache
def engine_folders() -> tuple[Path, ...]:
    """Where libhqdit.so and ExecuTorch's libraries are."""
    spec = find_spec("executorch")
    assert spec is not None and spec.submodule_search_locations
    executorch = Path(next(iter(spec.submodule_search_locations))).resolve() / "lib"
    return library_path("hqdit").resolve().parent, executorch


def swift(
    package: Path, *command: str | Path, scratch: Path, sanitize: str | None = None, **environment: str | Path
) -> subprocess.CompletedProcess[str]:
    """`swift COMMAND` on a package that links the engine; what it builds goes to `scratch`. Skips without the root."""
    need_debian13()
    engine, executorch = engine_folders()
    settings: list[str | Path] = ["--scratch-path", scratch, "--disable-sandbox", "-Xswiftc", "-warnings-as-errors"]
    # Debian's libswiftObservation.so lacks a function that it calls only to end the process.
    for option in (f"-L{engine}", "-rpath-link", executorch, "--allow-shlib-undefined"):
        settings += ["-Xlinker", option]
    if sanitize:
        settings += ["--sanitize", sanitize]
    name, *arguments = command
    environment = {"LD_LIBRARY_PATH": f"{engine}:{executorch}"} | environment
    arguments = [*settings, *arguments]
    timeout = 86_400 if "HQDIT_MUTANTS" in environment else 600
    return run_in_debian13(
        "swift", name, *arguments, cwd=package, shared=engine_folders(), timeout=timeout, **environment
    )


def run_tests(package: Path, folder: Path, **environment: str | Path) -> None:
    """Builds a package in `folder`/build and runs its tests: all that are in its sources, and all pass."""
    done = swift(package, "test", "--no-parallel", scratch=folder / "build", **environment)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    sources = [path.read_text() for path in (package / "Tests").rglob("*.swift")]
    declared = sum(len(re.findall(r"@Test\b", source)) for source in sources)
    (ran,) = re.findall(r"Test run with (\d+) tests passed", done.stdout)
    assert int(ran) == declared >= 30
