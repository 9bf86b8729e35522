# SPDX-License-Identifier: Apache-2.0
"""docs/tutorial.md, followed to the letter: its file, its commands, and the app that draws with the bundle."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from android_checks import DEMO, build_jni, errors, maven, need_tools, results
from PIL import Image

from hqdit_mobile.runtime.engine import Pipeline

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/tutorial.md").read_text()
FILES = dict(re.findall(r"^<!-- file: (\S+) -->\n```python\n(.*?)^```", TEXT, re.M | re.S))
COMMANDS = "".join(re.findall(r"^<!-- run -->\n```sh\n(.*?)^```", TEXT, re.M | re.S)).splitlines()

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Path:
    """The folder in which the commands ran."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in COMMANDS:
        done = subprocess.run(
            ["sh", "-ec", command], cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return folder


def test_the_page_has_the_steps():
    programs = [command.split()[0] for command in COMMANDS]
    assert list(FILES) == ["make_checkpoint.py"]
    assert programs == ["python", "hqdit-export", "hqdit", "hqdit", "hqdit"]


def test_the_picture_is_the_engine_s(followed):
    with Pipeline(followed / "my-bundle") as pipeline, Image.open(followed / "cat.png") as picture:
        assert pipeline.labels == ["apple", "boat", "cat", "door"] and pipeline.defaults["steps"] == 5
        np.testing.assert_array_equal(picture, pipeline.generate("cat", seed=7))
    assert {"report.html", "manifest.json"} <= {path.name for path in (followed / "my-bundle").iterdir()}


@pytest.mark.android
def test_the_app_draws_with_the_bundle(followed, tiny_bundle, tmp_path):
    need_tools()
    jni = build_jni(tmp_path / "jni")
    values = {"hqdit.library": jni, "hqdit.bundle": followed / "my-bundle", "test": "ScreenshotTest"}
    # The run on the oldest Android has its own tests, which draw with the tiny bundle.
    values |= {"surefire.failIfNoSpecifiedTests": "false", "hqdit.tiny": tiny_bundle}
    done = maven(DEMO / "checks" / "pom.xml", "test", tmp_path, values)
    assert done.returncode == 0, errors(done)
    assert results(tmp_path / "app") == {"ScreenshotTest": 4, "MinSdkTest": 2}
    with Image.open(tmp_path / "screenshot-light.png") as screen:
        assert len(np.unique(np.asarray(screen.convert("RGB")).reshape(-1, 3), axis=0)) > 1000
