# SPDX-License-Identifier: Apache-2.0
"""Keeps what other libraries print, in Python and in C++, out of a command's own output."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO

# Of C++: "[threadpool.cpp:66] ..." is ExecuTorch in Python, whose standard error is Python's own.
_LOG = re.compile(r"\[[\w./-]+\.(?:cpp|cc|c|h):\d+\] ")
_LOG_BEGINS = re.compile(r"\[(?:[\w./-]+(?::(?:\d+\]?)?)?)?")


class _WithoutLogs:
    """A text stream; lines that look like a C++ library's go to file descriptor 2 instead.

    Such a library may write, and flush, a line in pieces: what may become one is held until it is known.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._held = ""
        self._inside = False  # a line that is not a library's has begun

    def write(self, text: str) -> int:
        for line in (self._held + text).splitlines(keepends=True):
            self._held, whole = "", line.endswith(("\n", "\r"))
            if not self._inside and _LOG.match(line):
                if whole:
                    os.write(2, line.encode(errors="replace"))
                else:
                    self._held = line
            elif not self._inside and _LOG_BEGINS.fullmatch(line):
                self._held = line
            else:
                self._stream.write(line)
                self._inside = not whole
        return len(text)

    def close(self) -> None:
        self._stream.write(self._held)
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def quiet(verbose: bool, unexpected: Callable[[Exception], bool]) -> Iterator[None]:
    """Inside, the file descriptor of standard error, to which C++ libraries write, is a temporary file, while
    ``sys.stderr`` goes on to where it went; Python's warnings and log records below errors are dropped.

    An ``unexpected`` error lets out what was kept: it may say why. With ``verbose`` nothing is changed, nor where there
    is no standard error or no place for a temporary file.
    """
    file = None if verbose or not _writable(2) else _temporary()
    if file is None:
        yield
        return
    with file as kept, contextlib.ExitStack() as stack:
        sys.stderr.flush()
        before, original = sys.stderr, os.dup(2)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        os.dup2(kept.fileno(), 2)
        stream = os.fdopen(os.dup(original), "w", buffering=1, encoding=before.encoding, errors=before.errors)
        sys.stderr = _WithoutLogs(stream)  # type: ignore[assignment]
        try:
            yield
        except Exception as error:
            _undo(original, before)
            if unexpected(error):
                kept.seek(0)
                shutil.copyfileobj(kept, sys.stderr.buffer)
            raise
        finally:
            _undo(original, before)


def _undo(original: int, before: object) -> None:
    if sys.stderr is before:
        return
    sys.stderr.close()
    sys.stderr = before  # type: ignore[assignment]
    os.dup2(original, 2)
    os.close(original)
    logging.disable(logging.NOTSET)


def _temporary() -> IO[bytes] | None:
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return None


def _writable(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return sys.stderr is not None
