# SPDX-License-Identifier: Apache-2.0
"""The examples, compiled and run. tests/android compiles and runs the Kotlin one."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkpoint_folders import tiny_folder
from PIL import Image

from hqdit_mobile.ops.native import library_path
from hqdit_mobile.runtime.engine import Pipeline

ROOT = Path(__file__).parent.parent
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]


@pytest.fixture(scope="module")
def draw(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler (cc, gcc or clang) on the path")
    program, libraries = tmp_path_factory.mktemp("c") / "draw", library_path("hqdit").parent
    flags = ["-std=c99", *WARNINGS, f"-I{ROOT / 'export/sampler/include'}"]
    links = [f"-L{libraries}", "-lhqdit", f"-Wl,-rpath,{libraries}"]
    subprocess.run([compiler, *flags, ROOT / "examples/c/draw.c", *links, "-o", program], check=True)
    return program


@pytest.mark.native
def test_the_c_program_draws_the_bytes_that_python_draws(draw, tiny_bundle, tmp_path):
    with Pipeline(tiny_bundle) as pipeline:
        label = pipeline.labels[2]
        expected = pipeline.generate(label, seed=11)
    done = subprocess.run([draw, tiny_bundle, label, "11", tmp_path / "out.ppm"], capture_output=True, text=True)
    assert done.returncode == 0 and "step 10 of 10" in done.stderr, done.stderr
    with Image.open(tmp_path / "out.ppm") as picture:
        np.testing.assert_array_equal(picture, expected)


@pytest.mark.native
def test_the_c_program_says_what_is_wrong(draw, tiny_bundle, tmp_path):
    for arguments, words in (
        ([tmp_path, "x", "1", "out.ppm"], "manifest.json"),
        ([tiny_bundle, "no such class", "1", "out.ppm"], "no such class"),
        ([tiny_bundle, "class 1 \N{SLIGHTLY SMILING FACE}", "1", tmp_path / "no/folder.ppm"], "could not be written"),
        ([tiny_bundle], "usage"),
    ):
        done = subprocess.run([draw, *arguments], capture_output=True, text=True)
        assert done.returncode in (1, 2) and words in done.stderr, done.stderr


@pytest.mark.slow
def test_the_python_script_compares_recipes(tmp_path):
    tiny_folder(tmp_path / "model")
    script = [sys.executable, ROOT / "examples/python/compare.py", "-m", tmp_path / "model", "-o", tmp_path / "out"]
    settings = ["--pictures", "2", "--steps", "3", "--calibration-samples", "2"]
    done = subprocess.run([*script, *settings, "w4a8", "w4a8-nearest"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(":", 1) for line in done.stdout.splitlines() if "dB PSNR" in line)
    assert list(lines) == ["w4a8", "w4a8-nearest"] and all("bits a weight" in line for line in lines.values())
    with Image.open(tmp_path / "out/pictures.png") as sheet:
        assert sheet.size == (2 * 16, 3 * 16), "a row for the float model and one for each recipe"
    with Image.open(tmp_path / "out/quality.png") as plot:
        assert plot.size == (600, 480)
