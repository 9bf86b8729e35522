# SPDX-License-Identifier: Apache-2.0
"""The Swift package on Linux, over the real engine: docs/ios.md says what that covers and what it does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import ios_zips
import numpy as np
import pytest
import tiny_model
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from debian13 import need_debian13, run_in_debian13
from ios_checks import DEMO, run_tests, swift
from PIL import Image

from hqdit_mobile.runtime.engine import Pipeline
from hqdit_mobile.runtime.signature import public_key_of, write_signature

pytestmark = [pytest.mark.ios, pytest.mark.slow]
PACKAGE = DEMO / "HqDit"
SETTINGS = {
    "defaults": (0, {"seed": 5}),
    "dpm": (2, {"seed": 7, "scheduler": "dpm-solver++", "steps": 13, "guidance_scale": 2.5}),
    "interval": (4, {"seed": 2**64 - 1, "guidance_interval": (0.25, 0.75), "eta": 0.5}),
    "no-class": (5, {"seed": 1, "guidance_scale": 1.0}),
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory, tiny_bundle, tiny_files) -> dict[str, str | Path]:
    """What the package's tests open, by the variables that name it."""
    classes = tiny_model.networks()[0].label.weight.detach().numpy()
    whole = tiny_files["transformer.pte"]
    assert whole.count(classes.tobytes()) == 1
    broken = whole.replace(classes.tobytes(), np.full_like(classes, np.nan).tobytes())
    folder = tmp_path_factory.mktemp("nan") / "bundle"
    return {
        "HQDIT_TINY": tiny_bundle,
        "HQDIT_NAN": tiny_model.write_bundle(folder, tiny_files | {"transformer.pte": broken}),
        **signed(folder.parent, tiny_bundle),
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory, bundles) -> Path:
    """A folder with "build" and with what the package's tests, which all passed, left in "output"."""
    folder = tmp_path_factory.mktemp("swift")
    (folder / "output").mkdir()
    run_tests(PACKAGE, folder, HQDIT_OUTPUT=folder / "output", **bundles)
    return folder


def signed(folder: Path, bundle: Path) -> dict[str, str | Path]:
    """The environment of a test that opens a signed copy of the bundle, which it makes."""
    copy, key = folder / "signed", Ed25519PrivateKey.generate()
    shutil.copytree(bundle, copy)
    write_signature(copy, key, (copy / "manifest.json").read_bytes())
    return {"HQDIT_SIGNED": copy, "HQDIT_PUBLIC_KEY": public_key_of(key)}


@pytest.mark.parametrize("name", SETTINGS)
def test_swift_draws_the_bytes_that_python_draws(built, tiny_bundle, name):
    label, settings = SETTINGS[name]
    with Pipeline(tiny_bundle, threads=1) as pipeline:
        expected = pipeline.generate(label, **settings)
    actual = np.frombuffer((built / "output" / f"{name}.rgb").read_bytes(), np.uint8)
    np.testing.assert_array_equal(actual.reshape(expected.shape), expected)
    with Image.open(built / "output" / f"{name}.png") as png:
        np.testing.assert_array_equal(np.asarray(png), expected)
        assert png.mode == "RGB"
        assert png.info["Title"] == f"{name} \N{SLIGHTLY SMILING FACE}" and png.info["Software"] == "HqDit"


def draw(built: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return swift(PACKAGE, "run", "--skip-build", "hqdit-draw", *arguments, scratch=built / "build")


def test_the_command_line_draws_what_hqdit_sample_draws(built, tiny_bundle, tmp_path):
    arguments = [tiny_bundle, "--label", "Class 2 \N{SLIGHTLY SMILING FACE}", "--seed", "7"]
    done = draw(built, *arguments, "--output", tmp_path / "swift.png")
    assert done.returncode == 0, done.stderr
    hqdit = Path(sys.executable).parent / "hqdit"
    subprocess.run([hqdit, "sample", *arguments, "-o", tmp_path / "python.png"], check=True, capture_output=True)
    with Image.open(tmp_path / "swift.png") as ours, Image.open(tmp_path / "python.png") as theirs:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ([], 2, "BUNDLE"),
        (["BUNDLE", "--label"], 2, "--label needs"),
        (["BUNDLE", "--label", "x", "--seed", "many"], 2, "--seed needs a number"),
        (["BUNDLE", "--label", "x", "--size", "9"], 2, "--size"),
        (["/nowhere", "--label", "x"], 1, "/nowhere"),
        (["BUNDLE", "--label", "unicorn"], 1, "unicorn"),
    ],
)
def test_the_command_line_says_what_is_wrong(built, tiny_bundle, arguments, code, word):
    done = draw(built, *(tiny_bundle if word == "BUNDLE" else word for word in arguments))
    assert done.returncode == code
    assert word in done.stderr and "hqdit-draw: " in done.stderr


def test_thread_sanitizer_finds_nothing(built, bundles, tmp_path):
    """Side by side, all but two suites about the whole process: what it keeps (most of its memory is the sanitizer's
    own here, and the other tests open files meanwhile), and what it does without memory, which ends the sanitizer."""
    environment = bundles | {"HQDIT_OUTPUT": tmp_path, "TSAN_OPTIONS": "halt_on_error=1"}
    command = ["test", "--skip", "LeakTests|LimitTests"]
    done = swift(PACKAGE, *command, scratch=built / "tsan", sanitize="thread", **environment)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "ThreadSanitizer" not in done.stdout + done.stderr


def test_the_manifest_for_apple_systems(tmp_path):
    """As a Mac reads it: the engine is the framework, and nothing forbids use by version."""
    need_debian13()
    text = (PACKAGE / "Package.swift").read_text()
    assert text.count("#if os(Linux)") == 1 and "unsafeFlags" not in text
    (tmp_path / "Package.swift").write_text(text.replace("#if os(Linux)", "#if os(macOS) || os(Windows)"))
    done = run_in_debian13("swift", "package", "dump-package", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"type" : "binary"' in done.stdout and '"path" : "CHqDit.xcframework"' in done.stdout


def test_the_header_is_the_engines():
    header = PACKAGE / "Sources/CHqDit/hqdit.h"
    assert header.is_symlink() and header.resolve() == DEMO.parent / "export/sampler/include/hqdit.h"


def test_the_studio(tmp_path, tiny_bundle):
    """The app's logic without its screens: bundles and hostile zips, pace, memory, pictures, drawing.

    HQDIT_MUTANTS says how many changed zips, HQDIT_MUTANTS_SEED and HQDIT_MUTANTS_FIRST which ones."""
    zips = ios_zips.write(tmp_path / "zips", tiny_bundle)
    mutants = {name: value for name, value in os.environ.items() if name.startswith("HQDIT_MUTANTS")}
    run_tests(DEMO / "Studio", tmp_path, HQDIT_TINY=tiny_bundle, HQDIT_ZIPS=zips, **mutants)


def test_swift_format():
    need_debian13()
    # The names in the stand-ins are Apple's.
    folders = [DEMO / name for name in ("HqDit", "Studio", "App", "checks/planted")]
    done = run_in_debian13("swift-format", "lint", "--strict", "--recursive", "--parallel", *folders, cwd=DEMO)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_are_small():
    for source in DEMO.rglob("*.swift"):
        lines = source.read_text().splitlines()
        assert len(lines) <= 300 and "SPDX-License-Identifier: Apache-2.0" in "".join(lines[:2]), source
