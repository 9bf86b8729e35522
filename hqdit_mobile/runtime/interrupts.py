# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while C code draws.

Python runs a signal's handler between two of its own instructions. While the engine draws there are none but those of
the progress callback, and what a handler raises at a callback's first instruction ctypes prints and drops: the drawing
would go on. So the handler runs inside a net here, and the callback stops the drawing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held_interrupts() -> Iterator[list[BaseException]]:
    """Yields a list that gets what the handler of SIGINT raises; the caller stops when it is not empty and raises it.

    Does nothing outside of the main thread, which is the only one that runs handlers, and where SIGINT has no Python
    handler.
    """
    raised: list[BaseException] = []
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield raised
        return

    def hold(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except BaseException as error:
            raised.append(error)

    signal.signal(signal.SIGINT, hold)
    try:
        yield raised
    finally:
        # A handler that was set meanwhile, by a progress callback, stays.
        if signal.getsignal(signal.SIGINT) is hold:
            signal.signal(signal.SIGINT, handler)
