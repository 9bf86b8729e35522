# SPDX-License-Identifier: Apache-2.0
"""The app: its Swift against stand-ins for Apple's modules. docs/ios.md says what that proves and what it does not."""

import re
from pathlib import Path

import pytest
from debian13 import need_debian13
from ios_checks import DEMO
from ios_stand_ins import without_a_page
from ios_type_check import APP, build_modules, document, type_check

pytestmark = [pytest.mark.ios, pytest.mark.slow]
PLANTED_STAND_IN = """
extension View {
  /// documentation/swiftui/view/blur(radius:opaque:), iOS 13.
  nonisolated public func blur(radius: CGFloat) -> some View { Opaque() }
  public func tilt() -> some View { Opaque() }
}

/// documentation/swiftui/slant, iOS 13.
public struct Tilt() {}
"""
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


def test_stand_ins_say_where_they_come_from(tmp_path):
    files = [*(DEMO / "checks/modules").rglob("*.swift")]
    assert {file.name: missing for file in files if (missing := without_a_page(file))} == {} and len(files) >= 12
    found = tmp_path / "Planted.swift"
    found.write_text(PLANTED_STAND_IN)
    assert [text.split("(")[0] for text in without_a_page(found)] == ["public func tilt", "public struct Tilt"]


def test_conditions_that_the_check_would_skip():
    """What is behind #if os(iOS) would not be checked here; canImport sees the stand-ins."""
    for file in (*APP, *(DEMO / "Studio/Sources").rglob("*.swift"), *(DEMO / "HqDit/Sources").rglob("*.swift")):
        assert not re.search(r"#if (?!canImport\(CoreGraphics\))", file.read_text()), file


def test_the_librarys_pages(modules):
    done = document(modules)
    assert done.returncode == 0, done.stdout + done.stderr
