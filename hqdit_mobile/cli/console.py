# SPDX-License-Identifier: Apache-2.0
"""What the commands print: their own words in colour, texts of bundles and models as they are, without any effect."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from hqdit_mobile.util.texts import visible


def plain(text: object, style: str = "") -> Text:
    """``text`` for a table cell or a line: no markup, no emoji codes, no control characters but line ends."""
    return Text(visible(str(text), keep="\n"), style)


def say(console: Console, text: object, style: str = "") -> None:
    """One message. A terminal gets it wrapped between words, a file or a pipe as one line."""
    console.print(plain(text, style), highlight=False, soft_wrap=not console.is_terminal)


def say_error(text: object, heading: str = "Error:") -> None:
    """One message of a user's making, on standard error."""
    console = Console(stderr=True)
    line = Text.assemble((heading, "red"), " ", plain(text))
    console.print(line, highlight=False, soft_wrap=not console.is_terminal)
