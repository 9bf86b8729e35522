# SPDX-License-Identifier: Apache-2.0
"""The output's folder: whatever kills an export that replaces a bundle, there is the old one or the new one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hqdit_mobile.export.bundle.folder import check_output, check_space, put_back, real_output, staged_folder
from hqdit_mobile.runtime.manifest import BundleError
from hqdit_mobile.util.exchange import exchange

REPLACE = """
import os, pathlib, shutil, signal, sys
from hqdit_mobile.export.bundle import folder as folders
output, point, exchanging = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "exchange"
seen = 0
def killing(real):
    def call(*arguments, **options):
        global seen
        seen += 1
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
os.rename = killing(os.rename)
folders.exchange = killing(folders.exchange if exchanging else lambda *_: False)
folders.shutil.rmtree = killing(shutil.rmtree)
with folders.staged_folder(output, True) as staging:
    (staging / "manifest.json").write_text("new")
print(seen)
"""


def bundle(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "manifest.json").write_text(text)
    return path


def replace(output: Path, point: int, way: str) -> subprocess.CompletedProcess:
    """The process is killed at its ``point``-th call that changes a name."""
    command = [sys.executable, "-I", "-c", REPLACE, str(output), str(point), way]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(("way", "calls"), [("exchange", 2), ("renames", 5)])
def test_a_killed_replacement_leaves_a_bundle(tmp_path, way, calls):
    done = replace(bundle(tmp_path / "whole", "old"), 0, way)
    assert (done.returncode, done.stdout) == (0, f"{calls}\n"), done.stderr
    assert (tmp_path / "whole" / "manifest.json").read_text() == "new"
    for point in range(1, calls + 1):
        output = bundle(tmp_path / f"at-{point}", "old")
        assert replace(output, point, way).returncode == -signal.SIGKILL
        if way == "exchange":
            assert (output / "manifest.json").read_text() in ("old", "new"), "there without any repair"
        put_back(output)
        assert (output / "manifest.json").read_text() in ("old", "new")
        assert not (tmp_path / f".at-{point}.hqdit-old").exists()


def test_exchange(tmp_path):
    one, other = bundle(tmp_path / "one", "1"), bundle(tmp_path / "other", "2")
    if not exchange(one, other):
        pytest.skip("this file system cannot exchange")
    assert ((one / "manifest.json").read_text(), (other / "manifest.json").read_text()) == ("2", "1")
    with pytest.raises(FileNotFoundError):
        exchange(one, tmp_path / "missing")


def test_outputs_are_looked_at_first(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "broken").symlink_to("nowhere")
    for output, message in (("file/out", "is no folder"), ("broken", "link to nothing"), ("file", "choose another")):
        with pytest.raises(BundleError, match=message):
            check_output(tmp_path / output, force=False)
    with pytest.raises(BundleError, match="is not a bundle"):
        check_output(tmp_path / "file", force=True)
    with pytest.raises(BundleError, match="no folder can be made in /proc"):
        check_output(Path("/proc/out"), force=False)
    check_output(tmp_path / "new" / "deep" / "out", force=False)
    assert sorted(os.listdir(tmp_path)) == ["broken", "file"]
    check_space(tmp_path / "out", 1)
    with pytest.raises(BundleError, match=r"needs about 1000000\.0 GB"):
        check_space(tmp_path / "out", 10**15)


def test_a_failure_leaves_the_old_bundle(tmp_path):
    output = bundle(tmp_path / "out", "old")
    with pytest.raises(RuntimeError), staged_folder(output, force=True) as staging:
        (staging / "manifest.json").write_text("half")
        raise RuntimeError
    assert (output / "manifest.json").read_text() == "old" and os.listdir(tmp_path) == ["out"]


def test_a_linked_bundle_is_replaced_where_it_is(tmp_path, monkeypatch):
    output = bundle(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    with staged_folder(real_output(tmp_path / "link"), force=True) as staging:
        (staging / "manifest.json").write_text("new")
    assert (tmp_path / "link").is_symlink() and (output / "manifest.json").read_text() == "new"
    monkeypatch.chdir(output)
    assert real_output(Path(".")) == output and real_output(Path("..")) == tmp_path
    assert real_output(Path("other")) == Path("other")
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]
