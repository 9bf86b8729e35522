# SPDX-License-Identifier: Apache-2.0
"""Where activations and workspaces lie."""

import os
import subprocess
from pathlib import Path

import pytest

HUGE_PAGE = 2 << 20
LINUX_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def allocated(folder: Path, size: int) -> tuple[bool, int, bool]:
    """Whether there was memory, the alignment of its address, and whether huge pages were asked for."""
    command = [folder / "memory_driver", str(size)]
    # The sanitizer would end the process where there is no memory.
    environment = os.environ | {"ASAN_OPTIONS": "allocator_may_return_null=1"}
    text = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    given, alignment, huge = map(int, text.split())
    return bool(given), alignment, bool(huge)


@pytest.mark.parametrize("size", [0, 1, 100, HUGE_PAGE // 2 - 1])
def test_small_memory_is_aligned_to_cache_lines_and_ordinary(sanitized_drivers, size):
    given, alignment, huge = allocated(sanitized_drivers, size)
    assert given and alignment >= 64 and not huge


@pytest.mark.parametrize("size", [HUGE_PAGE // 2, HUGE_PAGE, 3 * HUGE_PAGE + 1])
def test_large_memory_fills_huge_pages(sanitized_drivers, size):
    if not LINUX_HUGE_PAGES.is_file():
        pytest.skip("this kernel has no transparent huge pages")
    given, alignment, huge = allocated(sanitized_drivers, size)
    assert given and alignment >= HUGE_PAGE and huge


@pytest.mark.parametrize("size", [1 << 62, (1 << 64) - 1, (1 << 64) - HUGE_PAGE // 2])
def test_what_does_not_fit_gives_none(sanitized_drivers, size):
    assert not allocated(sanitized_drivers, size)[0]
