# SPDX-License-Identifier: Apache-2.0
"""What a manifest's figures of memory mean."""

from __future__ import annotations

from hqdit_mobile.runtime.manifest import Memory


def limit_for_tiles(memory: Memory) -> int:
    """The highest memory limit in bytes under which the engine does not decode a picture whole."""
    return max(memory.peak_bytes, memory.arena_bytes) - 1


def memory_text(memory: Memory) -> str:
    text = f"{memory.peak_bytes / 1e6:.0f} MB at most while drawing"
    if memory.tiled_peak_bytes is None:
        return text
    return f"{text}, {memory.tiled_peak_bytes / 1e6:.0f} MB under a limit that makes it decode in tiles"
