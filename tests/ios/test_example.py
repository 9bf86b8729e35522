# SPDX-License-Identifier: Apache-2.0
"""examples/swift: a package that depends on ours by its path, as an app's does."""

import numpy as np
import pytest
from debian13 import REPOSITORY, need_debian13, run_in_debian13
from ios_checks import DEMO, swift
from PIL import Image

from hqdit_mobile.runtime.engine import Pipeline

pytestmark = [pytest.mark.ios, pytest.mark.slow]
EXAMPLE = REPOSITORY / "examples/swift"


def test_the_swift_example_draws_the_bytes_that_python_draws(tiny_bundle, tmp_path):
    with Pipeline(tiny_bundle) as pipeline:
        label = pipeline.labels[2]
        expected = pipeline.generate(label, seed=11)
    picture, scratch = tmp_path / "out.png", tmp_path / "build"
    done = swift(EXAMPLE, "run", "draw", tiny_bundle, label, "11", picture, scratch=scratch)
    assert done.returncode == 0 and "step 10 of 10" in done.stdout, done.stdout[-6000:] + done.stderr[-3000:]
    with Image.open(picture) as got:
        np.testing.assert_array_equal(np.asarray(got), expected)
    for arguments, code, words in (([], 2, "usage"), (["/nowhere", "x", "1", "a.png"], 1, "/nowhere")):
        done = swift(EXAMPLE, "run", "--skip-build", "draw", *arguments, scratch=scratch)
        assert done.returncode == code and words in done.stderr, done.stderr


def test_swift_format():
    need_debian13()
    rules = DEMO / ".swift-format"
    done = run_in_debian13("swift-format", "lint", "--strict", "--configuration", rules, "--recursive", EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr
