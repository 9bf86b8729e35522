# SPDX-License-Identifier: Apache-2.0
"""Which layers' activation noise reaches the noise prediction, and so which ones deserve eight bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hqdit_mobile.calibration import CalibrationSet, input_quantizer, linear_at
from hqdit_mobile.dit import DiT
from hqdit_mobile.fp4_linear import FP4Linear
from hqdit_mobile.rotation import rotate

INPUTS_PER_TIMESTEP = 4
BATCH = 4  # the backward pass keeps every activation of a batch


@dataclass
class _Probe:
    """One linear layer: the noise that quantizing its inputs puts on its output."""

    linear: nn.Linear
    target: FP4Linear
    quantizer: FP4Linear = field(init=False)
    output: Tensor = field(init=False)
    noise: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.quantizer = input_quantizer(self.target)

    def __call__(self, _module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        with torch.no_grad():
            x, order = arguments[0], self.target.rotation
            assert self.target.pre is not None
            restored = rotate(self.quantizer(x), order) / (self.target.pre * order)
            self.noise = (restored - x) @ self.linear.weight.t()
        self.output = output


def noise_shares(model: DiT, targets: Mapping[str, FP4Linear], data: CalibrationSet, seed: int) -> dict[str, float]:
    """The part of the squared error of the noise prediction that each layer's activation noise is responsible for.

    targets: the quantized successor of each layer. To first order the error is J n with n the noise at a layer's
    output; v^T J n for a random sign vector v has the mean square |J n|^2, and one backward pass gives v^T J for all
    layers. Shares are taken per timestep, each timestep with the sum one, and averaged: what lowers the error in dB
    wherever it arises.
    """
    generator = torch.Generator().manual_seed(seed)
    probes = {name: _Probe(linear_at(model, name), target) for name, target in targets.items()}
    handles = [probe.linear.register_forward_hook(probe) for probe in probes.values()]
    timesteps = data.timestep.unique()
    shares = torch.zeros(len(probes), dtype=torch.float64)
    try:
        for timestep in timesteps:
            rows = (data.timestep == timestep).nonzero()[:, 0]
            rows = rows[torch.randperm(len(rows), generator=generator)[:INPUTS_PER_TIMESTEP]]
            parts = [_squared_errors(model, probes, data, part, generator) for part in rows.split(BATCH)]
            errors = torch.stack(parts).sum(dim=0)
            shares += errors / errors.sum().clamp(min=torch.finfo(torch.float64).tiny)
    finally:
        for handle in handles:
            handle.remove()
    return dict(zip(probes, (shares / len(timesteps)).tolist(), strict=True))


def _squared_errors(
    model: DiT, probes: Mapping[str, _Probe], data: CalibrationSet, rows: Tensor, generator: torch.Generator
) -> Tensor:
    """float64 [layers]: sum over the model inputs `rows` of (v^T J n)^2."""
    with torch.enable_grad():
        latents = data.latents[rows].requires_grad_()
        noise = model(latents, data.timestep[rows], data.label[rows])[:, : latents.shape[1]]
        signs = torch.randint(0, 2, noise.shape, generator=generator) * 2.0 - 1.0
        gradients = torch.autograd.grad((noise * signs).sum(), [probe.output for probe in probes.values()])
    products = [
        (gradient * probe.noise).flatten(1).sum(dim=1)
        for gradient, probe in zip(gradients, probes.values(), strict=True)
    ]
    return torch.stack(products).double().square().sum(dim=1)


def spend_budget(shares: Mapping[str, float], costs: Mapping[str, int], budget: float) -> list[str]:
    """The layers, best share per cost first, whose costs together stay within `budget` of the cost of all."""
    left = budget * sum(costs.values())
    chosen = []
    for name in sorted(shares, key=lambda name: (-shares[name] / costs[name], name)):
        if costs[name] <= left:
            chosen.append(name)
            left -= costs[name]
    return chosen
