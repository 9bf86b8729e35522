# SPDX-License-Identifier: Apache-2.0
"""A handle of the C API that several threads may use while one of them closes it."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable
from types import TracebackType

from hqdit_mobile.runtime.abi import check
from hqdit_mobile.runtime.errors import BusyError, InvalidArgumentError


class OpenHandle:
    """``with`` gives the handle to one call; hqdit.h wants no call to begin on one that is being closed.

    ``owner``: when it is collected without a close, the handle is closed, too.
    """

    def __init__(self, owner: object, handle: ctypes.c_void_p, close: Callable[[ctypes.c_void_p], int]):
        self._handle: ctypes.c_void_p | None = handle
        self._close = close
        self._calls = 0
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(owner, close, handle)
        # At the end of the process its memory is freed anyway, and threads of others may still draw.
        self._finalizer.atexit = False

    def __enter__(self) -> ctypes.c_void_p:
        with self._lock:
            if self._handle is None:
                raise InvalidArgumentError("the pipeline is closed; open the bundle again")
            self._calls += 1
            return self._handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._calls -= 1

    def close(self) -> None:
        """Does nothing the second time. Raises BusyError while a call has not returned."""
        with self._lock:
            if self._handle is None:
                return
            if self._calls:
                raise BusyError(
                    "another call is running on this pipeline: close it when that has returned [HQDIT_BUSY]"
                )
            check(self._close(self._handle))
            self._handle = None
            self._finalizer.detach()
