# SPDX-License-Identifier: Apache-2.0
"""Exports a tiny model and, as a process, kills itself at its n-th event: python killed_export.py MODEL OUTPUT N
THREADS.

Events are what a resumed export depends on, up to the end of quantization: a linear layer of the float network has run,
and a file is put on the disk (its content is written but it has no name yet).
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from hqdit_mobile import ExportOptions, HQDiTConfig, Stages, export_bundle

# 36 model inputs, so that a block sees its tokens in more than one batch.
CONFIG = HQDiTConfig(calibration_samples=6, calibration_steps=3)
QUANTIZING = ("Load", "Calibration", "Quantize")  # how the stages begin that a resumed export goes on from


def options(model: Path, output: Path, config: HQDiTConfig = CONFIG) -> ExportOptions:
    return ExportOptions(str(model), output, config=config, steps=2)


class Watched(Stages):
    """Remembers which stage it is in."""

    now = ""

    def begin(self, name: str, total: int | None = None) -> None:
        self.now = name
        super().begin(name, total)


def export_counting(model: Path, output: Path, on_event: Callable[[int], None] = lambda _: None) -> list[str]:
    """Exports, calls on_event(n) at the n-th event and returns the stages of all of them; files end with " file"."""
    stages, events = Watched(), []
    fsync = os.fsync

    def event(suffix: str = "") -> None:
        if stages.now.startswith(QUANTIZING):
            events.append(stages.now + suffix)
            on_event(len(events))

    def synced(descriptor: int) -> None:
        event(" file")
        fsync(descriptor)

    hook = register_module_forward_hook(lambda module, *_: event() if isinstance(module, nn.Linear) else None)
    try:
        with mock.patch.object(os, "fsync", synced):
            export_bundle(options(model, output), stages)
    finally:
        hook.remove()
    return events


def main() -> None:
    last = int(sys.argv[3])
    torch.set_num_threads(int(sys.argv[4]))  # the order of float sums depends on it
    export_counting(
        Path(sys.argv[1]), Path(sys.argv[2]), lambda event: event < last or os.kill(os.getpid(), signal.SIGKILL)
    )


if __name__ == "__main__":
    main()
