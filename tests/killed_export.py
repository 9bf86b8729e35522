# SPDX-License-Identifier: Apache-2.0
"""Exports a tiny model and, as a process, kills itself at its n-th event: python killed_export.py MODEL OUTPUT N
THREADS.

Events are what a resumed export depends on: a layer's inputs being added to its moments, and a file being put on the
disk (its content is written but it has no name yet). After quantization it writes the programs and the manifest, and
leaves out the checks, which take most of the time and have nothing to resume.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch

from hqdit_mobile.export.bundle.job import clean_latents, export_bundle
from hqdit_mobile.export.bundle.manifest import build_manifest
from hqdit_mobile.export.bundle.model_files import write_model_files
from hqdit_mobile.export.bundle.options import ExportOptions
from hqdit_mobile.quantize.calibration import Observer
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.util.progress import Stages

CONFIG = HQDiTConfig(calibration_samples=2, calibration_steps=3)


def options(model: Path, output: Path, config: HQDiTConfig = CONFIG) -> ExportOptions:
    return ExportOptions(str(model), output, config=config, steps=2)


def programs_alone(options, model, _loaded, quantized, folder, _stages):
    latents = clean_latents(model, options)
    files = write_model_files(options.runtime, model, folder, latents)
    return build_manifest(options, model, quantized, folder, files, latents)


def export_counting(model: Path, output: Path, on_event: Callable[[int], None] = lambda _: None) -> int:
    """Exports, calls on_event(n) at the n-th event and returns how many there were."""
    events = 0

    def counted(function):
        def call(*arguments):
            nonlocal events
            events += 1
            on_event(events)
            return function(*arguments)

        return call

    with (
        mock.patch.object(Observer, "add", counted(Observer.add)),
        mock.patch.object(os, "fsync", counted(os.fsync)),
        mock.patch("hqdit_mobile.quantize.quantizer.BATCH", 4),
        mock.patch("hqdit_mobile.export.bundle.job._write_bundle", programs_alone),
    ):
        export_bundle(options(model, output), Stages())
    return events


def main() -> None:
    last = int(sys.argv[3])
    torch.set_num_threads(int(sys.argv[4]))  # the order of float sums depends on it
    export_counting(
        Path(sys.argv[1]), Path(sys.argv[2]), lambda event: event < last or os.kill(os.getpid(), signal.SIGKILL)
    )


if __name__ == "__main__":
    main()
