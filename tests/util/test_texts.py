# SPDX-License-Identifier: Apache-2.0
"""Texts of strangers do nothing but be read. Markdown's verdict is that of CommonMark's own parser, where installed."""

import unicodedata

import pytest
from markdown_it import MarkdownIt

from hqdit_mobile.util.texts import controls_in, has_controls, markdown, markdown_code, visible

HOSTILE = [
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "good\rEVIL",
    "abc\u202egnp.exe",
    "\u2066x\u2069",
    "\ud800",
    "a\nb",
    "\x9b31m",
]
HARMLESS = [
    "heart fluent-emoji",
    "👩\u200d👩\u200d👧 family",
    "क्\u200dष",
    "Égoïste",
    "日本語",
    "🏴\U000e0067\U000e007f",
    "♥\ufe0f",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_control_characters_become_escapes(text):
    shown = visible(text)
    assert has_controls(text) and not has_controls(shown) and shown.isprintable()
    assert (
        shown.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        == text
    )


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_stay(text):
    assert visible(text) == text and not has_controls(text)


def test_every_control_of_unicode_is_one():
    """Cc and the bidirectional controls, as Unicode's own database has them; line and paragraph separators."""
    for code in range(0x110000):
        character = chr(code)
        bidi = unicodedata.bidirectional(character)
        moves = bidi in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or moves or code in (0x200E, 0x200F, 0x61C):
            assert has_controls(character), hex(code)


def test_the_place_is_named():
    assert controls_in({"name": "a", "labels": ["b", "c"]}) is None
    assert controls_in({"name": "a", "labels": ["b", "\x1b[2J"]}) == 'labels[1] holds control characters ("\\x1b[2J")'


NAMES = [
    "<script>alert(1)</script>",
    "a|b",
    "`x`",
    "``",
    "![i](http://x)",
    "[a](b)",
    "*b* _c_ ~~d~~",
    "&lt;",
    "\\",
    "# h",
]


@pytest.mark.parametrize("name", [*NAMES, "a\nb"])
def test_markdown_shows_what_it_is_given(name):
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    (inline,) = [token for token in parser.parse(f"x {markdown(name)}") if token.type == "inline"]
    assert {child.type for child in inline.children} <= {"text", "text_special"}
    assert "".join(child.content for child in inline.children) == f"x {visible(name)}"
    (inline,) = [token for token in parser.parse(f"x {markdown_code(name)}") if token.type == "inline"]
    assert [child.content for child in inline.children if child.type == "code_inline"] == [visible(name)]
    cells = [t.content for t in parser.parse(f"| a | b |\n|---|---|\n| {markdown(name)} | c |") if t.type == "inline"]
    assert len(cells) == 4 and cells[3] == "c"
