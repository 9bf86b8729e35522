# SPDX-License-Identifier: Apache-2.0
"""Memory that one stage of a long job leaves to the next."""

from __future__ import annotations

import ctypes
import gc


def release_memory() -> None:
    """Frees what nobody holds any more, and gives it back to the system."""
    gc.collect()  # torch's graphs refer to themselves, and Python looks for such objects when it likes
    trim_heap()


def trim_heap() -> None:
    """Gives back what glibc has kept of freed memory: once it has seen tensors come and go, all below 32 MiB each."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
