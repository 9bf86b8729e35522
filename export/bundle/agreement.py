# SPDX-License-Identifier: Apache-2.0
"""How far two runtimes agree on a bundle's probe, in five stages: linear, attention, block, step, image.

Before them comes the stage of loader_check.py, which compares float networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hqdit_mobile.diffusion.trajectory import IN_ENGINE
from hqdit_mobile.export.bundle.parity_parts import Part
from hqdit_mobile.export.bundle.probe import Probe
from hqdit_mobile.export.bundle.runners import run_parts
from hqdit_mobile.runtime.engine import Pipeline
from hqdit_mobile.runtime.manifest_file import read_manifest
from hqdit_mobile.runtime.memory import limit_for_tiles
from hqdit_mobile.util.metrics import psnr_db, snr_db

STAGES = ("loader", "linear", "attention", "block", "step", "image")
# Our operators have defined bits in every runtime; a stock ONNX Runtime rounds its own way, and a value that falls on
# the other side of a rounding boundary differs by a step of int8 (docs/onnx.md has the measurements).
NEEDED_DB = {"loader": 80.0, "linear": math.inf, "attention": 100.0, "block": 50.0, "step": 50.0, "image": 40.0}
# int8 finds its scales in each tile, not in the whole picture: as much noise, not the same.
NEEDED_TILED_DB = 38.0
NEEDED_PORTABLE_DB = {"linear": 60.0, "attention": 40.0, "block": 45.0, "step": 15.0, "image": 30.0}


@dataclass(frozen=True)
class Agreement:
    """One comparison. ``db``: SNR, or PSNR for the image; infinite where the bits are equal."""

    stage: str
    name: str
    db: float
    needed_db: float
    max_error: float
    mean_error: float
    cosine: float

    @property
    def passed(self) -> bool:
        return self.db >= self.needed_db

    @property
    def margin_db(self) -> float:
        return 0.0 if self.db == self.needed_db else self.db - self.needed_db

    @property
    def unit(self) -> str:
        return "dB PSNR" if self.stage == "image" else "dB SNR"

    def to_json(self) -> dict[str, Any]:
        numbers = {k: "equal bits" if v == math.inf else v for k, v in asdict(self).items()}
        return numbers | {"passed": self.passed}


def decibels(value: float) -> str:
    return "equal bits" if value == math.inf else f"{value:.1f}"


def needed(stage: str, *runtimes: str) -> float:
    return (NEEDED_PORTABLE_DB if "onnxruntime-portable" in runtimes else NEEDED_DB)[stage]


Values = Tensor | np.ndarray


def agreement(stage: str, name: str, expected: Values, got: Values, needed_db: float) -> Agreement:
    a, b = (np.asarray(values, dtype=np.float64).reshape(-1) for values in (expected, got))
    error = np.abs(a - b)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / norms if norms else float((a == b).all())
    db = (psnr_db if stage == "image" else snr_db)(a, b)
    return Agreement(stage, name, db, needed_db, float(error.max()), float(error.mean()), cosine)


def compare_parts(
    parts: Sequence[Part], runtime: str, against: str, on_runtime: Callable[[int], None] = lambda _: None
) -> list[Agreement]:
    """The linear, attention and block stages. on_runtime: gets 0 when the first has run, 1 after the second."""
    outputs = []
    for index, name in enumerate((runtime, against)):
        outputs.append(run_parts(name, parts))
        on_runtime(index)
    got, expected = outputs
    return [
        agreement(part.stage, part.name, a, b, needed(part.stage, runtime, against))
        for part, a, b in zip(parts, expected, got, strict=True)
    ]


def compare_tiles(probe: Probe, bundle: Path) -> list[Agreement]:
    """The image stage under a memory limit that makes ``bundle`` decode in tiles, where it has them."""
    memory = read_manifest(bundle).memory
    if memory.tiled_peak_bytes is None:
        return []
    with Pipeline(bundle, memory_limit_bytes=limit_for_tiles(memory)) as pipeline:
        image = pipeline.generate(probe.label, seed=probe.seed, **_settings(probe))
    return [agreement("image", f"seed {probe.seed}, decoded in tiles", probe.image, image, NEEDED_TILED_DB)]


def _settings(probe: Probe) -> dict[str, Any]:
    return IN_ENGINE | {"steps": probe.sampling_steps, "guidance_scale": probe.guidance_scale}


def compare_bundle(probe: Probe, pipeline: Any, runtime: str) -> list[Agreement]:
    """The step and image stages: an open bundle against what torch wrote into the probe."""
    rows = []
    for step in probe.steps:
        for guided in (True, False) if len(step.noise) == 2 else (False,):
            got = pipeline.denoise(step.latents[0].numpy(), step.timestep, probe.label, guided=guided)
            name = f"t={step.timestep:g} {'guided' if guided else 'unguided'}"
            expected = step.noise if guided else step.noise[:1]
            rows.append(agreement("step", name, expected, got, needed("step", runtime)))
    image = pipeline.generate(probe.label, seed=probe.seed, **_settings(probe))
    rows.append(agreement("image", f"seed {probe.seed}", probe.image, image, needed("image", runtime)))
    return rows
