# SPDX-License-Identifier: Apache-2.0
"""Measures the memory that a bundle needs: ``python -m hqdit_mobile.export.bundle.memory BUNDLE LIMIT`` prints bytes.

A process of its own, because peak resident memory cannot be reset and the exporting process is far larger.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path


def measure_peak_bytes(bundle: Path, limit: int = 0) -> int:
    """Growth of peak resident memory while a fresh process opens ``bundle`` and draws one image in two steps.

    ``limit``: the memory limit that it is opened with; 0 for none.
    """
    # -I: with a clone as working directory, -m would import the sources, which have no engine, before the package.
    command = [sys.executable, "-I", "-m", "hqdit_mobile.export.bundle.memory", str(bundle), str(limit)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"the engine could not draw from {bundle}:\n{result.stderr.strip()}")
    return int(result.stdout)


def _peak_resident() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes
    # Linux carries the parent's peak over fork and exec into ru_maxrss, but not into VmHWM.
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    from hqdit_mobile.runtime.open_bundle import open_bundle

    before = _peak_resident()
    with open_bundle(Path(sys.argv[1]), memory_limit_bytes=int(sys.argv[2])) as pipeline:
        pipeline.generate(0, seed=0, steps=2)
    print(_peak_resident() - before)


if __name__ == "__main__":
    main()
