# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or absent, whatever stops their writer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives the path to write to; what is there becomes ``path`` at the end, or is removed after an error."""
    temporary = part_of(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """The file that ``whole_file`` writes first."""
    return path.with_name(f".{path.name}.part")
