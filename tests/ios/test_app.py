# SPDX-License-Identifier: Apache-2.0
"""The app: its Swift against stand-ins for Apple's modules. docs/ios.md says what that proves and what it does not."""

import re
from pathlib import Path

import pytest
from debian13 import need_debian13
from ios_checks import DEMO
from ios_type_check import APP, build_modules, document, type_check

pytestmark = [pytest.mark.ios, pytest.mark.slow]
PLANTED = sorted((DEMO / "checks/planted").glob("*.swift"))


@pytest.fixture(scope="module")
def modules(tmp_path_factory) -> Path:
    need_debian13()
    return build_modules(tmp_path_factory.mktemp("modules"))


def test_the_app_type_checks(modules):
    done = type_check(modules, APP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(APP) >= 15


def test_planted_mistakes_are_found(modules):
    """Each file has one, and says beside it what the compiler must say."""
    done = type_check(modules, PLANTED)
    assert done.returncode != 0
    for file in PLANTED:
        ((line, expected),) = [
            (number, text.partition("// error: ")[2])
            for number, text in enumerate(file.read_text().splitlines(), 1)
            if "// error: " in text
        ]
        found = re.findall(rf"{re.escape(str(file))}:{line}:\d+: error: (.*)", done.stderr)
        assert any(expected in message for message in found), f"{file.name}: {found}"


def test_stand_ins_say_where_they_come_from():
    for file in (DEMO / "checks/modules").rglob("*.swift"):
        text = file.read_text()
        assert "documentation/" in text and "iOS " in text, file


def test_conditions_that_the_check_would_skip():
    """What is behind #if os(iOS) would not be checked here; canImport sees the stand-ins."""
    for file in (*APP, *(DEMO / "Studio/Sources").rglob("*.swift"), *(DEMO / "HqDit/Sources").rglob("*.swift")):
        assert not re.search(r"#if (?!canImport\(CoreGraphics\))", file.read_text()), file


def test_the_librarys_pages(modules):
    done = document(modules)
    assert done.returncode == 0, done.stdout + done.stderr
