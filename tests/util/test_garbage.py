# SPDX-License-Identifier: Apache-2.0
"""The garbage collector passes over what exists, and only for as long as it was told to."""

import gc
import weakref

import pytest

from hqdit_mobile.util.garbage import collecting_new_objects_only


class Cycle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def nothing_frozen():
    assert gc.get_freeze_count() == 0
    yield
    gc.unfreeze()


def test_new_garbage_goes_and_old_garbage_goes_later():
    old = weakref.ref(Cycle())
    with collecting_new_objects_only():
        new = weakref.ref(Cycle())
        gc.collect()
        assert new() is None and old() is not None
    gc.collect()
    assert old() is None


def test_an_error_ends_it():
    with pytest.raises(ValueError, match="x"), collecting_new_objects_only():
        assert gc.get_freeze_count() > 0
        raise ValueError("x")
    assert gc.get_freeze_count() == 0


def test_the_outermost_ends_it():
    with collecting_new_objects_only():
        with collecting_new_objects_only():
            pass
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_what_the_program_froze_stays_frozen():
    old = weakref.ref(Cycle())
    gc.freeze()
    with collecting_new_objects_only():
        pass
    gc.collect()
    assert old() is not None
