# SPDX-License-Identifier: Apache-2.0
"""The pages name files, headings and commands that exist, and README's commands are those that users need."""

import re
from pathlib import Path

import pytest
from click import Group

from hqdit_mobile.cli.main import export, main

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/**/*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
CODE_PATH = re.compile(r"`((?:hqdit_mobile|export|tests|docs|examples|android_demo|ios_demo)/[\w./-]+)`")
COMMAND = re.compile(r"\b(hqdit-export|hqdit (?:[a-z][a-z-]+))((?:[^\n`|]|\\\n)*)")


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of a page's headings."""
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    broken = []
    for page in PAGES:
        for target, anchor in LINK.findall(page.read_text()):
            path = (page.parent / target).resolve() if target else page
            if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
                broken.append(f"{page.relative_to(ROOT)}: {target}#{anchor}")
    assert not broken


def test_files_that_pages_name_exist():
    missing = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in PAGES
        for name in CODE_PATH.findall(page.read_text())
        if not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists()
    ]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_of_commands_exist(page):
    """Every --option on a line with hqdit-export or hqdit COMMAND is one of that command."""
    assert isinstance(main, Group)
    commands = {f"hqdit {name}": command for name, command in main.commands.items()} | {"hqdit-export": export}
    for name, rest in COMMAND.findall(page.read_text()):
        if name in commands:
            known = {
                option for parameter in commands[name].params for option in parameter.opts + parameter.secondary_opts
            }
            used = set(re.findall(r"(?<=\s)--[a-z][a-z-]*", rest.split("&&")[0]))
            assert used <= known | {"--help", "--version"}, f"{name}: {used - known}"


def test_readme_has_one_test_command_for_everybody():
    """The marker that .ci/run looks for, and behind it one line."""
    text = (ROOT / "README.md").read_text()
    (command,) = re.findall(r"^<!-- test command -->\n```\w*\n(.+)\n```$", text, re.M)
    assert "pytest" in command and "'.[test]'" in command


def test_pages_are_short_enough_to_read():
    long = {page.relative_to(ROOT).as_posix(): len(page.read_text().splitlines()) for page in PAGES}
    assert not {page: lines for page, lines in long.items() if lines > 300}


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target, _ in LINK.findall(index.read_text())}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - {index} <= linked


def test_the_kinds_of_faults_have_their_tests():
    """tests/cases/README.md names a test for each of the 25, which is there."""
    folder = ROOT / "tests" / "cases"
    rows = re.findall(r"^\| (F\d+) .*\|$", text := (folder / "README.md").read_text(), re.M)
    assert rows == [f"F{i + 1}" for i in range(25)]
    file = None
    for name, test in re.findall(r"`((?:[\w./]+\.(?:py|kt))?)(?:::(\w+))?`", text):
        if name:
            (file,) = folder.parent.parent.rglob(f"*/{name}") if name.endswith(".kt") else [folder / name]
            assert file.is_file(), name
        assert not test or f"def {test}(" in file.read_text(), f"{file.name}::{test}"
