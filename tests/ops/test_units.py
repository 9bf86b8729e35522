# SPDX-License-Identifier: Apache-2.0
"""How threads share the units of a kernel's work."""

import subprocess
from pathlib import Path

import pytest


def taken(folder: Path, slots: int, units: int, mode: str, firsts: int = 0, most: int = 1) -> list[tuple[int, int]]:
    """(slot, unit) pairs in the order of slots, and of taking in each slot."""
    command = [folder / "units_driver", str(slots), str(units), mode, str(firsts), str(most)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [(int(slot), int(unit)) for slot, unit in map(str.split, lines)]


@pytest.mark.parametrize("most", [1, 8])
@pytest.mark.parametrize(("slots", "units"), [(1, 5), (2, 1), (2, 1000), (3, 0), (5, 1003), (100, 7), (100, 1003)])
def test_threads_take_every_unit_once(sanitized_drivers, slots, units, most):
    every = taken(sanitized_drivers, slots, units, "threads", most=most)
    assert sorted(unit for _, unit in every) == list(range(units))


def test_a_thread_goes_through_its_own_run_and_then_from_the_ends_of_the_others(sanitized_drivers):
    """Runs of 8 units for 3 slots: 0 1, 2 3 4, 5 6 7. The first slot finds all of them untouched."""
    order = [0, 1, 4, 3, 2, 7, 6, 5]
    assert taken(sanitized_drivers, 3, 8, "turns") == [(0, unit) for unit in order]


def test_several_units_at_a_time_are_neighbours_of_the_own_run(sanitized_drivers):
    """Runs of 16 for 2 slots: those of the first in order, and the other's from its end, one by one."""
    order = [*range(16), *reversed(range(16, 32))]
    assert taken(sanitized_drivers, 2, 32, "turns", most=8) == [(0, unit) for unit in order]


@pytest.mark.parametrize("mode", ["threads", "turns"])
@pytest.mark.parametrize(
    ("slots", "firsts", "units"), [(1, 3, 5), (2, 100, 1), (5, 101, 1003), (4, 1, 9), (100, 40, 7)]
)
def test_second_units_wait_for_the_first(sanitized_drivers, slots, firsts, units, mode):
    """The driver fails if one begins too early; in turns, no thread may wait for one that comes later."""
    assert sorted(unit for _, unit in taken(sanitized_drivers, slots, units, mode, firsts)) == list(range(units))
