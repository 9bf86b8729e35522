# SPDX-License-Identifier: Apache-2.0
"""Which declarations of the stand-ins for Apple's modules do not say where they come from."""

import re
from pathlib import Path

WORDS = r"(?:(?:@[\w()]+|nonisolated|static|public|final|class) )*"
DECLARATION = re.compile(rf"{WORDS}public .*?\b(?:struct|class|enum|protocol|typealias|func|var|let) `?(\w+)")
INITIALIZER = re.compile(rf"{WORDS}public (init)\b")
EXTENSION = re.compile(r"extension (\w+)[^{]*\{ *(.*?)\}?$")
PAGE = re.compile(r"documentation/[^ ]+.*\biOS \d+", re.S)
OURS = "What no page names: "


def without_a_page(file: Path) -> list[str]:
    """The declarations at the top of `file`, and those that its extensions add to other types, whose comment does not
    have Apple's page of that name and the first iOS with it. A comment holds down to the next empty line."""
    missing, comment, inside_type = [], "", False
    for line in file.read_text().splitlines():
        text = line.strip()
        if line.startswith("}"):
            inside_type = False
        if text.startswith("//"):
            comment += text + "\n"
            continue
        if not text:
            comment = ""
        extended = EXTENSION.match(line)
        if extended and (extended[2] or line.endswith("{}")):
            declared = DECLARATION.match(extended[2]) or extended
        elif extended or inside_type:
            continue
        else:
            declared = DECLARATION.match(text) or INITIALIZER.match(text)
            inside_type = declared is not None and not line.startswith(" ") and not text.endswith("}")
        if not declared or OURS in comment:
            continue
        if not (PAGE.search(comment) and declared[1].lower() in comment.lower()):
            missing.append(text)
    return missing
