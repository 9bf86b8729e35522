# SPDX-License-Identifier: Apache-2.0
"""Texts from bundles, models and file names, which anyone may have written, made safe to show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# C0 and C1 controls, line and paragraph separators, the controls of writing direction, and lone surrogates: they move
# the cursor, set a terminal's title, or show a text in another order than it has. Joiners stay: emoji need them.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~&])")


def has_controls(text: str) -> bool:
    """Whether ``text`` holds a character that changes how what is around it is shown."""
    return _CONTROL.search(text) is not None


def visible(text: str, *, keep: str = "") -> str:
    """``text`` with every control character written as its escape, such as \\x1b; those in ``keep`` stay."""
    return _CONTROL.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def controls_in(texts: Mapping[str, str | Sequence[str]]) -> str | None:
    """The first of ``texts``, by name, that holds a control character, as words for an error; None if none does."""
    for name, given in texts.items():
        for index, text in enumerate([given] if isinstance(given, str) else given):
            if has_controls(text):
                place = name if isinstance(given, str) else f"{name}[{index}]"
                return f'{place} holds control characters ("{visible(text[:80])}")'
    return None


def markdown(text: str) -> str:
    """``text`` as Markdown that shows exactly these characters in one line: no markup, no HTML, no end of a cell."""
    return _MARKDOWN.sub(r"\\\1", visible(text))


def markdown_code(text: str) -> str:
    """``text`` as a Markdown code span, whatever backticks it holds."""
    shown = visible(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"
