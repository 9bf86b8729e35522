# SPDX-License-Identifier: Apache-2.0
"""A DiT of two blocks with random weights, and a configuration that quantizes it in a second."""

import torch

from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.quantize.config import HQDiTConfig

TINY = DiTConfig(hidden_size=64, depth=2, num_heads=2, sample_size=8, num_classes=7)


def tiny_dit(config: DiTConfig = TINY) -> DiT:
    torch.manual_seed(0)
    return DiT(config).eval().requires_grad_(False)


def tiny_config(**changes) -> HQDiTConfig:
    return HQDiTConfig(**({"calibration_samples": 2, "calibration_steps": 3} | changes))
