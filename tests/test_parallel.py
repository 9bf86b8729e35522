# SPDX-License-Identifier: Apache-2.0
"""When a run is spread over several processes, and what they share."""

import subprocess
from types import SimpleNamespace

import native_build
import parallel
import pytest

SOURCE = pytest.Config.ArgsSource


def chosen(monkeypatch, source, worker=None, **options) -> object:
    """The number of processes that a run with these options gets."""
    monkeypatch.setattr(parallel, "processes", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    if worker:
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
    option = SimpleNamespace(**{"usepdb": False, "numprocesses": None, "dist": "no"} | options)
    config = SimpleNamespace(
        args_source=source, option=option, getoption=lambda name, default: getattr(option, name, default)
    )
    parallel.pytest_cmdline_main(config)
    return getattr(option, "numprocesses", "no pytest-xdist")


def test_only_the_whole_suite_is_spread(monkeypatch):
    assert chosen(monkeypatch, SOURCE.TESTPATHS) == 3
    assert chosen(monkeypatch, SOURCE.ARGS) is None
    assert chosen(monkeypatch, SOURCE.TESTPATHS, numprocesses=0) == 0
    assert chosen(monkeypatch, SOURCE.TESTPATHS, usepdb=True) is None


def test_a_process_of_a_run_starts_no_others(monkeypatch):
    """Or each would start more, without end."""
    assert chosen(monkeypatch, SOURCE.TESTPATHS, worker="gw0") is None


def test_processes_are_as_many_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": (21 << 30) // 4096}
    monkeypatch.setattr(parallel.os, "sysconf", pages.__getitem__)
    assert parallel.processes() == 5
    pages["SC_PHYS_PAGES"] = 1000
    assert parallel.processes() == 1


def test_a_folder_is_made_once_and_whole(tmp_path):
    calls = []

    def make(folder):
        calls.append(folder)
        (folder / "half").touch()
        if len(calls) == 1:
            raise RuntimeError("killed")
        (folder / "file").touch()

    with pytest.raises(RuntimeError, match="killed"):
        parallel.folder_made_once(tmp_path / "x", make)
    assert not (tmp_path / "x").exists()
    for _ in range(2):
        folder = parallel.folder_made_once(tmp_path / "x", make)
        assert folder == tmp_path / "x" and sorted(path.name for path in folder.iterdir()) == ["file", "half"]
    assert len(calls) == 2


def test_a_folder_is_kept_until_what_it_is_made_of_changes(tmp_path):
    def make(text):
        return lambda folder: (folder / "file").write_text(text)

    for made_of, text, expected in (("a", "first", "first"), ("a", "unused", "first"), ("b", "second", "second")):
        folder = parallel.folder_kept(tmp_path, made_of, make(text))
        assert (folder / "file").read_text() == expected
        assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder]


def test_programs_are_made_again_when_a_source_or_the_compiler_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(native_build, "ROOT", tmp_path)
    (tmp_path / "src/deep").mkdir(parents=True)
    (tmp_path / "src/deep/a.h").write_text("1")
    (tmp_path / "other.cpp").write_text("1")

    def text(compiler: str = "gcc 1") -> str:
        version = subprocess.CompletedProcess([], 0, "", compiler)
        return native_build.made_of("c++", "src", run=lambda *_: version)

    first = text()
    (tmp_path / "other.cpp").write_text("2")
    assert text() == first != text("gcc 2")
    (tmp_path / "src/deep/a.h").write_text("2")
    changed = text()
    (tmp_path / "src/b.cpp").touch()
    assert len({first, changed, text()}) == 3
    monkeypatch.setenv("CXXFLAGS", "-O3")
    assert text() not in (first, changed)
