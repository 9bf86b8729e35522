# SPDX-License-Identifier: Apache-2.0
"""How much an export spends on calibration and on looking at its result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hqdit_mobile.model.network import Network
from hqdit_mobile.model.streaming import parameter_count
from hqdit_mobile.quantize.calibration import suited_to
from hqdit_mobile.quantize.config import HQDiTConfig

LARGE = 200_000_000  # parameters from which a picture of the float model takes half a minute
LONG = 256  # tokens of a model for 256 pixels with patches of 2


@dataclass(frozen=True)
class Effort:
    """Pictures that are compared with the float model's, how many of them noise prediction by noise prediction, and
    sampling steps of every picture that the checks draw."""

    pictures: int
    noise_images: int
    steps: int


FAST = Effort(pictures=2, noise_images=1, steps=5)


def effort_for(model: Network, steps: int, fast: bool) -> Effort:
    if fast:
        return FAST
    if parameter_count(model) < LARGE:
        return Effort(12, 4, steps)
    return Effort(4 if model.config.tokens <= LONG else 2, 1, steps)


def calibration_for(model: Network, config: HQDiTConfig, fast: bool, samples: int | None) -> HQDiTConfig:
    """`samples`: the images that the user asked for, or None.

    fast: 20 model inputs in place of 320 (1,280 tokens of a model for 256 pixels), one weight format, nearest lattice
    points. A model for 512 pixels takes five times as long for each input and gets a quarter of the inputs, with four
    times the tokens of each (calibration.py). Fewer steps rather than images, because every image has another class
    (docs/full-size.md has what it costs); not if the model will be tuned, which is for those who can wait.
    """
    images, steps = config.calibration_samples, config.calibration_steps
    if fast:
        formats = config.weight_formats[:1]
        config, images, steps = replace(config, weight_formats=formats, rounding="nearest", shrinkage=0.0), 2, 5
    elif model.config.tokens > LONG and not config.tuning_steps:
        steps = max(1, steps // 4)
    return suited_to(replace(config, calibration_samples=samples or images, calibration_steps=steps), model)
