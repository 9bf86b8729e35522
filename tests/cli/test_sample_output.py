# SPDX-License-Identifier: Apache-2.0
"""Where hqdit sample puts its picture, and what it never touches."""

import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqdit_mobile.runtime.engine import Pipeline

HQDIT = Path(sys.executable).parent / "hqdit"


DRAW = ("--label", "1", "--steps", "2", "--seed", "4")


def sample(bundle, *arguments, **options) -> subprocess.CompletedProcess:
    """In a process of its own."""
    words = [HQDIT, "sample", bundle, *DRAW, *map(str, arguments)]
    return subprocess.run(words, **({"capture_output": True, "check": False, "timeout": 60} | options))


@pytest.fixture(scope="module")
def expected(tiny_bundle) -> np.ndarray:
    with Pipeline(tiny_bundle) as pipeline:
        return pipeline.generate(1, seed=4, steps=2)


@pytest.mark.parametrize(
    ("name", "format", "most"),
    [("a.png", "PNG", 0), ("a.JPG", "JPEG", 40), ("a.jpeg", "JPEG", 40), ("ä.webp", "WEBP", 0)],
)
def test_the_suffix_chooses_the_format(command, tiny_bundle, expected, tmp_path, name, format, most):
    done = command("hqdit", "sample", tiny_bundle, *DRAW, "-o", tmp_path / name)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / name) as image:
        assert image.format == format
        assert np.abs(np.asarray(image).astype(int) - expected).max() <= most


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("a.bmp", "must be one of .png, .jpg, .jpeg, .webp"),
        ("a", "must be one of .png"),
        ("nowhere/a.png", "there is no folder"),
        ("folder", "is a folder"),
        ("folder/", "is a folder"),
        ("file/a.png", "Not a directory"),
        ("x" * 300 + ".png", "File name too long"),
        ("loop.png", "Too many levels of symbolic links"),
    ],
)
def test_a_bad_output_is_refused_before_drawing(command, tmp_path, monkeypatch, output, message):
    """There is no bundle either, and the output is what is refused."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop.png").symlink_to("loop.png")
    monkeypatch.chdir(tmp_path)
    done = command("hqdit", "sample", tmp_path / "no-bundle", *DRAW, "-o", output)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "loop.png"]


def test_links_are_kept(tiny_bundle, expected, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to("real.png")
    (tmp_path / "dangling.png").symlink_to("other/new.png")
    for link, target in (("link.png", "real.png"), ("dangling.png", "other/new.png")):
        done = sample(tiny_bundle, "-o", link, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / link).is_symlink()
        np.testing.assert_array_equal(Image.open(tmp_path / target), expected)


def test_pipes_and_devices_are_written_through(tiny_bundle, expected, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    done = sample(tiny_bundle, "-o", pipe)
    reader.join(30)
    assert done.returncode == 0, done.stderr
    (tmp_path / "got.png").write_bytes(got[0])
    np.testing.assert_array_equal(Image.open(tmp_path / "got.png"), expected)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.write_bytes(b"")
    except OSError:
        pytest.skip("device nodes cannot be made here; pipes were tested")
    done = sample(tiny_bundle, "-o", null)
    assert done.returncode == 0, done.stderr
    assert stat.S_ISCHR(null.stat().st_mode)


def test_standard_output(tiny_bundle, expected, tmp_path):
    done = sample(tiny_bundle, "-o", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "got.png").write_bytes(done.stdout)
    np.testing.assert_array_equal(Image.open(tmp_path / "got.png"), expected)
    done = sample(tiny_bundle, "-o", "-", "--preview-interval", 1, text=True)
    assert done.returncode == 2 and "previews need" in done.stderr


def test_a_full_disk_is_one_line(tiny_bundle, tmp_path):
    def no_space():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = sample(tiny_bundle, "-o", tmp_path / "a.png", preexec_fn=no_space, text=True)
    assert done.returncode == 2 and "a.png: File too large" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
