# SPDX-License-Identifier: Apache-2.0
"""How much an export spends on calibration and on looking at its result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hqdit_mobile.config import HQDiTConfig
from hqdit_mobile.dit import DiT
from hqdit_mobile.streaming import parameter_count

LARGE = 200_000_000  # parameters from which a picture of the float model takes half a minute


@dataclass(frozen=True)
class Effort:
    """Pictures that are compared with the float model's, how many of them noise prediction by noise prediction, and
    sampling steps of every picture that the checks draw."""

    pictures: int
    noise_images: int
    steps: int


FAST = Effort(pictures=2, noise_images=1, steps=5)


def effort_for(model: DiT, steps: int, fast: bool) -> Effort:
    if fast:
        return FAST
    return Effort(4, 1, steps) if parameter_count(model) >= LARGE else Effort(12, 4, steps)


def fast_calibration(config: HQDiTConfig) -> HQDiTConfig:
    """For a first look: 20 model inputs in place of 320 (1,280 tokens), one weight format, nearest lattice points."""
    return replace(
        config, calibration_samples=2, calibration_steps=5, weight_formats=config.weight_formats[:1],
        rounding="nearest", shrinkage=0.0,
    )  # fmt: skip
