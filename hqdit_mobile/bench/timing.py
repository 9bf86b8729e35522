# SPDX-License-Identifier: Apache-2.0
"""Times several ways to do one job, in turns, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Runner = Callable[[], object]
REST_SECONDS = 0.002  # until the threads of the runner before stop spinning
LONG_SECONDS = 0.2  # beside such a call, waking threads and filling caches is nothing


@dataclass(frozen=True)
class Effort:
    """How long to measure: ``rounds`` turns of at least ``turn_seconds`` (and one call) for each runner."""

    rounds: int
    turn_seconds: float


def measure(
    runners: Mapping[str, Runner], effort: Effort, on_round: Callable[[], None] = lambda: None
) -> dict[str, list[float]]:
    """Seconds per call of each runner in each of its turns: the mean inside a turn. on_round: after each round.

    A turn of short calls starts with one that is not counted: it wakes the threads and fills the caches.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    warm_up = {name: _once(run) < LONG_SECONDS for name, run in runners.items()}
    order = list(runners)
    for _ in range(effort.rounds):
        for name in order:
            time.sleep(REST_SECONDS)
            if warm_up[name]:
                runners[name]()
            seconds[name].append(_turn(runners[name], effort.turn_seconds))
        # Nobody always follows the same neighbour.
        order.append(order.pop(0))
        order.reverse()
        on_round()
    return seconds


def medians(turns: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in turns.items()}


def _once(run: Runner) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _turn(run: Runner, at_least: float) -> float:
    calls, started = 0, time.perf_counter()
    while True:
        run()
        calls += 1
        elapsed = time.perf_counter() - started
        if elapsed >= at_least:
            return elapsed / calls
