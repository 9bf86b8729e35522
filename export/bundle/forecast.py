# SPDX-License-Identifier: Apache-2.0
"""What an export will take, from the size of the model and the speed of this machine: before it begins."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from hqdit_mobile.export.bundle.budget import Effort
from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.model.network import Network
from hqdit_mobile.model.streaming import parameter_count
from hqdit_mobile.quantize.calibration import linear_at
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.tuning import PAIRS

# Fitted to the four exports of DiT-XL/2 in docs/full-size.md (10 to 59 minutes), which they give within a fifth.
SECONDS = 60.0  # starting processes, hashing, lowering
RUNS_OF_AN_INPUT = 2.7  # of the network: the calibration run, the pass over the blocks and the moments of their inputs
RUNS_OF_A_STEP = 6.0  # of the network, for each step of a picture that is compared
RUNS_OF_A_TUNING_PAIR = 6.0  # of the network: forward and back, for both halves
PER_WEIGHT = {"gptq": 0.87e6, "nearest": 0.17e6}  # operations from a weight to its code in a lowered program
SHARE_OF_PEAK = 0.7  # of a large matrix product's speed, that a network reaches
STORED = 0.7  # bytes of a weight in 4 bits with its scales, in the work folder and in the bundle


@dataclass(frozen=True)
class Forecast:
    """``disk_bytes``: at most, while the export runs."""

    seconds: float
    disk_bytes: int


def forecast(model: LoadedModel, config: HQDiTConfig, effort: Effort) -> Forecast:
    """For the export of a float ``model``; takes a fifth of a second to look how fast this machine is."""
    halves = 1 if model.dit.null_label is None else 2
    inputs = halves * config.calibration_samples * config.calibration_steps
    runs = RUNS_OF_AN_INPUT * inputs + halves / 2 * RUNS_OF_A_STEP * effort.pictures * effort.steps
    if config.tuning_steps:
        runs += halves * config.tuning_samples * config.calibration_steps
        runs += halves / 2 * RUNS_OF_A_TUNING_PAIR * PAIRS * config.tuning_steps
    weights = parameter_count(model.dit)
    operations = runs * operations_of_a_run(model.dit) + weights * PER_WEIGHT[config.rounding]
    tokens = 2 * inputs * model.dit.config.tokens * model.dit.config.hidden_size * 4
    decoder = 4 * sum(p.numel() for p in model.vae.parameters())
    disk = tokens + int(2 * STORED * weights) + 2 * decoder
    return Forecast(SECONDS + operations / speed(), disk)


def operations_of_a_run(dit: Network) -> float:
    """Floating-point operations of the blocks for one image, a multiply-add being two."""
    config = dit.config
    hidden, tokens = config.hidden_size, config.tokens
    with torch.device("meta"):
        block = dit.new_block(config)
    linears = (linear_at(block, layer.name) for layer in dit.block_layers if layer.sees == "tokens")
    weights = sum(linear.weight.numel() for linear in linears)
    return len(dit.blocks) * (2 * tokens * weights + 4 * tokens**2 * hidden)


def speed() -> float:
    """Floating-point operations a second that a network reaches on this machine, with torch's threads."""
    size = 1024
    left, right = torch.randn(size, size), torch.randn(size, size)
    torch.mm(left, right)
    # At least three, however long others keep the processor; the fastest is the one that they disturbed least.
    times: list[float] = []
    while len(times) < 3 or sum(times) < 0.2:
        began = time.perf_counter()
        torch.mm(left, right)
        times.append(time.perf_counter() - began)
    return SHARE_OF_PEAK * 2 * size**3 / min(times)


def duration(seconds: float) -> str:
    """As people say it: "about 9 minutes", "about 1.5 hours"."""
    if seconds < 90:
        return "about a minute"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.1f} hours"
