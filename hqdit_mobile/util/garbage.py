# SPDX-License-Identifier: Apache-2.0
"""Python's garbage collector, where much is made that stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_new_objects_only() -> Iterator[None]:
    """The collector passes over what exists already: torch and ExecuTorch are most of a million objects, which it goes
    through whenever a quarter as many are new, again and again while a graph is lowered. What is made inside is
    collected as ever. Does nothing inside itself, and where the program has frozen its objects for its own reasons."""
    if gc.get_freeze_count() > 0:
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
