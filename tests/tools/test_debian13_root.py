# SPDX-License-Identifier: Apache-2.0
"""The script that makes the Debian 13 root: what it says where it cannot, and that it makes a root only once."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from debian13 import REPOSITORY, ROOT, need_debian13, run_in_debian13

SCRIPT = REPOSITORY / "tests/tools/debian13_root.sh"


def make(folder: Path, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HQDIT_DEBIAN13": str(folder), "PATH": path}
    return subprocess.run([shutil.which("bash") or "", SCRIPT], env=environment, capture_output=True, text=True)


def tools(folder: Path, **programs: str) -> str:
    """A PATH with the few programs that the script needs, and these shell scripts."""
    folder.mkdir()
    for name in ("cat", "dirname", "flock", "mkdir", "mktemp", "chmod", "rm"):
        (folder / name).symlink_to(shutil.which(name) or "")
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_a_complete_root_is_left_alone():
    need_debian13()
    before = ROOT.stat()
    done = make(ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert ROOT.stat() == before


@pytest.mark.parametrize(
    ("programs", "word"),
    [
        ({"id": "echo 1000"}, "only root"),
        ({"id": "echo 0"}, "apt-get install debootstrap"),
        ({"id": "echo 0", "debootstrap": 'mkdir "$3/etc"; exit 1'}, "no network"),
    ],
)
def test_what_cannot_be_made_is_said_and_leaves_nothing(tmp_path, programs, word):
    done = make(tmp_path / "cache" / "root", tools(tmp_path / "bin", **programs))
    assert done.returncode == 1
    assert done.stderr.startswith("debian13_root.sh: ") and word in done.stderr and done.stderr.count("\n") == 1
    left = {path.name for path in tmp_path.glob("cache/*")}
    assert left <= {"root.lock", "root.log"}


@pytest.mark.parametrize("folder", ["relative/root", "/"])
def test_a_folder_that_must_not_be_replaced(tmp_path, folder):
    done = make(Path(folder), tools(tmp_path / "bin", id="echo 0", debootstrap="exit 9"))
    assert done.returncode == 1 and "HQDIT_DEBIAN13" in done.stderr


def test_programs_run_there():
    need_debian13()
    done = run_in_debian13("swift", "--version")
    assert done.returncode == 0 and "Swift version 6." in done.stdout, done.stderr
    assert Path("/proc/self/mounts").read_text().count(str(ROOT)) == 0


def test_what_a_program_sees(tmp_path):
    need_debian13()
    (tmp_path / "a file").touch()
    done = run_in_debian13("sh", "-c", 'pwd; ls; echo "$WORD"; exit 7', cwd=tmp_path, WORD="two words")
    assert done.returncode == 7
    assert done.stdout.splitlines() == [str(tmp_path), "a file", "two words"]
