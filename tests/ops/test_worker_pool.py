# SPDX-License-Identifier: Apache-2.0
"""The threads that our operators run on."""

import subprocess

import pytest


@pytest.mark.parametrize("microseconds", [0, 100, 2000])  # threads look for work for 500
@pytest.mark.parametrize("count", [1, 2, 5, 70])
def test_every_share_is_done_once(sanitized_drivers, count, microseconds):
    calls = 200 if microseconds < 1000 else 20
    taken, threads = run(sanitized_drivers, count, calls, microseconds, 1)
    assert taken == calls
    assert 1 <= threads <= min(count, 64)


def test_one_caller_at_a_time(sanitized_drivers):
    """The others are refused, with nothing done; the driver fails otherwise."""
    taken, _ = run(sanitized_drivers, 3, 500, 0, 4)
    assert 500 <= taken <= 2000


def run(folder, *arguments: int) -> list[int]:
    command = [folder / "worker_pool_driver", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    return [int(word) for word in result.stdout.split()]
