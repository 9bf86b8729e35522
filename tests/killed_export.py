# SPDX-License-Identifier: Apache-2.0
"""Exports a tiny model and, as a process, kills itself at its n-th event: python killed_export.py MODEL OUTPUT N
THREADS.

Events are what a resumed export depends on: a linear layer being called while layers are quantized, where its inputs
are added to its moments, and a file being put on the disk (its content is written but it has no name yet). The export
is the whole one and nothing of it is replaced: torch tells of calls by a hook for all modules, from the stage
"Quantize" to the next one (torch.export refuses such hooks), and Python's own os.fsync counts before it does its work.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from rich.console import Console
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from hqdit_mobile.export.bundle.job import export_bundle
from hqdit_mobile.export.bundle.options import ExportOptions
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.util.progress import Stages

CONFIG = HQDiTConfig(calibration_samples=3, calibration_steps=3)  # the inputs of both halves are two batches
LAYER, FILE = "layer", "file"


def options(model: Path, output: Path, config: HQDiTConfig = CONFIG) -> ExportOptions:
    return ExportOptions(str(model), output, config=config, steps=2)


class _StagesWithEvents(Stages):
    """Calls on_layer before each linear layer that is called in the stage "Quantize"."""

    def __init__(self, on_layer: Callable[[], None]):
        super().__init__(Console(quiet=True))
        self._on_layer = on_layer
        self._hook: torch.utils.hooks.RemovableHandle | None = None

    def begin(self, name: str, total: int | None = None) -> None:
        super().begin(name, total)
        self.stop()
        if name == "Quantize":
            self._hook = register_module_forward_pre_hook(self._called)

    def stop(self) -> None:
        if self._hook is not None:
            self._hook.remove()

    def _called(self, module: nn.Module, _inputs: object) -> None:
        if isinstance(module, nn.Linear):
            self._on_layer()


def export_counting(model: Path, output: Path, on_event: Callable[[int], None] = lambda _: None) -> list[str]:
    """Exports, calls on_event(n) at the n-th event and returns what the events were."""
    events: list[str] = []
    fsync = os.fsync

    def happens(event: str) -> None:
        events.append(event)
        on_event(len(events))

    def counted(descriptor: int) -> None:
        happens(FILE)
        fsync(descriptor)

    stages = _StagesWithEvents(lambda: happens(LAYER))
    try:
        with mock.patch.object(os, "fsync", counted):
            export_bundle(options(model, output), stages)
    finally:
        stages.stop()
    return events


def main() -> None:
    last = int(sys.argv[3])
    torch.set_num_threads(int(sys.argv[4]))  # the order of float sums depends on it
    export_counting(
        Path(sys.argv[1]), Path(sys.argv[2]), lambda event: event < last or os.kill(os.getpid(), signal.SIGKILL)
    )


if __name__ == "__main__":
    main()
