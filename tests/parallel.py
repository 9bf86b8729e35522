# SPDX-License-Identifier: Apache-2.0
"""Runs the whole suite in as many processes as the machine has cores and memory for, and shares files between them.

`pytest` and `pytest -m MARKER` are the whole suite; `pytest tests/ops` or any other path runs in this process, as does
`pytest -n 0`. Each process computes with its share of the cores: OMP_NUM_THREADS, which torch reads when it starts.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

# Examples of a test that Hypothesis feeds: the same ones in every run, so that a failure is somebody's change. A kernel
# takes milliseconds for one. `--hypothesis-profile search` looks for what nobody has met yet.
settings.register_profile("every run", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("search", max_examples=5000, deadline=None)
settings.load_profile("every run")

SLOW_SECONDS = 10
PROCESS_BYTES = 4 << 30  # an export and the engine that draws from it, and a compiler beside them


def processes() -> int:
    """How many tests run at once: one a core, as far as the memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores, memory // PROCESS_BYTES))


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Before pytest-xdist reads its options."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # one of the processes already
        return
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    chosen = config.getoption("numprocesses", default=0) is not None  # also where pytest-xdist is missing
    if whole and not chosen and not config.option.usepdb and processes() > 1:
        config.option.numprocesses = processes()
        config.option.dist = "worksteal"
    if config.getoption("numprocesses", default=0):
        share = max(1, (os.cpu_count() or 1) // config.option.numprocesses)
        os.environ.setdefault("OMP_NUM_THREADS", str(share))


unmarked: dict[str, float] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "slow" not in report.keywords and report.duration > SLOW_SECONDS:
        unmarked[report.nodeid] = unmarked.get(report.nodeid, 0.0) + report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Keeps the fast run fast: says which tests ought to be marked."""
    for test, seconds in sorted(unmarked.items(), key=lambda entry: -entry[1]):
        terminalreporter.write_line(f"{seconds:.0f} s and not marked slow: {test}")


def folder_made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """The folder that make(folder) fills; whoever comes second waits until it is whole."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            part = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
            part.mkdir(parents=True)
            make(part)
            part.rename(folder)
    return folder


def folder_kept(cache: Path, made_of: str, make: Callable[[Path], object]) -> Path:
    """The same for all runs: a folder in the cache that stays until what it is made of changes, and then goes."""
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:16]

    def make_alone(folder: Path) -> None:
        for other in cache.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)
        make(folder)

    return folder_made_once(cache / digest, make_alone)
