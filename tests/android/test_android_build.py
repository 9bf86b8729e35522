# SPDX-License-Identifier: Apache-2.0
"""The Gradle scripts of the Android demo, compiled against Gradle's and the Android plugin's API: no Gradle runs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from android_checks import DEMO, errors, maven
from android_gradle import write_scripts

pytestmark = [pytest.mark.android, pytest.mark.slow]

# One mistake of each kind, each of which names no property, has another type, or is not in the version catalog.
WRONG = {
    "settings.gradle.kts": ("RepositoriesMode.FAIL_ON_PROJECT_REPOS", '"FAIL_ON_PROJECT_REPOS"'),
    "build.gradle.kts": ("libs.kotlin.gradle.plugin", "libs.kotlin.plugin"),
    "app/build.gradle.kts": ("isMinifyEnabled = true", "minifyEnabled = true"),
    "hqdit/build.gradle.kts": ("libs.versions.minSdk.get().toInt()", "libs.versions.minSdk.get()"),
}


def compiled(output: Path, edits: dict[str, tuple[str, str]]) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Maven's run, and where the edits are."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not found: {', '.join(missing)} (Debian: openjdk-17-jdk-headless, maven)")
    edited = write_scripts(output / "scripts", edits)
    pom = DEMO / "checks" / "gradle" / "pom.xml"
    # A short run: the slower compiler of the JVM does not pay.
    return maven(pom, "compile", output, {}, MAVEN_OPTS="-XX:TieredStopAtLevel=1"), edited


def test_every_name_and_type_in_the_scripts_is_known(tmp_path):
    done, _ = compiled(tmp_path, {})
    assert done.returncode == 0, errors(done)
    assert (tmp_path / "gradle" / "classes" / "App_build_gradle_ktsKt.class").is_file()


def test_a_mistake_in_a_script_is_found(tmp_path):
    done, edited = compiled(tmp_path, WRONG)
    assert done.returncode != 0
    assert len(edited) == len(WRONG)
    assert set(re.findall(r"scripts/(\w+\.kt:\d+):\d+ ", errors(done))) == edited
