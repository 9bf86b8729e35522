# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or absent, whatever stops their writer."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def check_writable(path: Path) -> None:
    """Whether ``whole_file(path)`` will be able to begin. Raises OSError with the system's reason, naming ``path``."""
    part = part_of(path)
    try:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it may not be written to")
        # Modes do not tell it all: root passes them, a read-only disk and a quota do not care for them.
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        part.unlink()
    except FileExistsError:
        pass  # another writer on its way to the same file
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def output_folder(path: Path) -> Iterator[None]:
    """Makes the folder ``path`` and sees that it takes files, before long work; an error leaves no empty folder behind.

    Raises OSError naming ``path``.
    """
    made = not path.exists()
    if not made and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder", str(path))
    path.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
        yield
    except BaseException:
        if made:
            with suppress(OSError):  # it holds something by now
                path.rmdir()
        raise


def part_of(path: Path) -> Path:
    """The file that ``whole_file`` writes first."""
    return path.with_name(f".{path.name}.part")
