# SPDX-License-Identifier: Apache-2.0
"""One version, that of pyproject.toml: what is built reads it, and what cannot read it is compared."""

import re
import tomllib
from importlib.metadata import metadata, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hqdit_mobile.runtime import abi

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]


def test_package_and_engine_have_the_version_of_the_sources():
    assert version("hqdit-mobile") == VERSION
    assert abi.library().hqdit_version().decode() == VERSION


@pytest.mark.parametrize(
    ("pattern", "form"),
    [
        ("CITATION.cff", r"^version: (\S+)$"),
        ("CHANGELOG.md", r"\A.*?^## (\d\S+)$"),  # the latest release
        ("android_demo/checks/**/pom.xml", r"<artifactId>checks</artifactId>\s*<version>(.+?)<"),
        ("android_demo/checks/**/pom.xml", r"--version-name ([\d.]+)"),
        ("android_demo/checks/**/pom.xml", r"android:versionName=&quot;([\d.]+)&quot;"),
        ("ios_demo/**/project.pbxproj", r"MARKETING_VERSION = (.+?);"),
    ],
)
def test_files_that_repeat_the_version(pattern, form):
    found = [text for path in ROOT.glob(pattern) for text in re.findall(form, path.read_text(), re.M | re.S)]
    assert found and set(found) == {VERSION}


def test_nothing_else_repeats_the_version():
    """In build files: a second copy would stay behind at the next release."""
    builds = [*(ROOT / "export").rglob("CMakeLists.txt"), *(ROOT / "android_demo").rglob("*.gradle.kts")]
    assert len(builds) > 5
    assert not [path for path in builds if VERSION in path.read_text()]


def test_every_dependency_runs_on_the_pythons_that_we_name():
    """pip looks for another release where one does not, and finds none within our bounds."""
    pythons = [f"3.{minor}" for minor in range(30) if SpecifierSet(PROJECT["requires-python"]).contains(f"3.{minor}.9")]
    names = {Requirement(text).name for text in requires("hqdit-mobile") or ()} - {"hqdit-mobile"}
    assert len(names) > 20
    refused = {}
    for name in sorted(names):
        allowed = SpecifierSet(metadata(name)["Requires-Python"] or "")
        refused[name] = [python for python in pythons if not allowed.contains(f"{python}.9")]
    assert not {name: versions for name, versions in refused.items() if versions}
    texts = [(ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "ios_demo/README.md")]
    assert all(f"Python {pythons[0]} to {pythons[-1]}" in text for text in texts)
