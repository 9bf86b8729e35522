# SPDX-License-Identifier: Apache-2.0
"""Kotlin is written as android_demo/.editorconfig says, build scripts and the example included."""

import shutil
from pathlib import Path

import pytest
from android_checks import DEMO, maven

POM = DEMO / "checks" / "ktlint" / "pom.xml"

pytestmark = [pytest.mark.android, pytest.mark.slow]


@pytest.fixture(autouse=True)
def tools():
    if missing := [tool for tool in ("java", "mvn") if shutil.which(tool) is None]:
        pytest.skip(f"not found: {', '.join(missing)}")


def test_all_kotlin_is_clean(tmp_path):
    done = maven(POM, "verify", tmp_path, {})
    assert done.returncode == 0, done.stdout


def test_a_mistake_is_found_in_every_place(tmp_path):
    places = ["android_demo/hqdit/A.kt", "android_demo/build.gradle.kts", "examples/kotlin/B.kt"]
    for place in places:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("fun  two_spaces() = 1;\n")
    shutil.copy(DEMO / ".editorconfig", tmp_path / "android_demo")
    done = maven(POM, "verify", tmp_path, {"sources": tmp_path})
    assert done.returncode != 0 and all(Path(place).name in done.stdout for place in places), done.stdout
