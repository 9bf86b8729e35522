# SPDX-License-Identifier: Apache-2.0
"""Which layers' activation noise reaches the noise prediction, and so which ones deserve eight bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import at
from hqdit_mobile.model.network import Network
from hqdit_mobile.model.streaming import float_block, walk
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.ops.rotation import rotate
from hqdit_mobile.quantize.calibration import CalibrationSet, input_quantizer, linear_at

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


@torch.no_grad()
def noise_shares(
    model: Network,
    targets: Mapping[str, FP4Linear],
    data: CalibrationSet,
    seed: int,
    on_timestep: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The part of the squared error of the noise prediction that each layer's activation noise is responsible for.

    targets: the quantized successor of each layer. To first order the error is J n with n the noise at a layer's
    output; v^T J n for a random sign vector v has the mean square |J n|^2, and one backward pass gives v^T J for all
    layers. Shares are taken per timestep, each timestep with the sum one, and averaged: what lowers the error in dB
    wherever it arises. on_timestep: after each of them.
    """
    generator = torch.Generator().manual_seed(seed)
    timesteps = data.timestep.unique()
    shares = torch.zeros(len(targets), dtype=torch.float64)
    for timestep in timesteps:
        rows = (data.timestep == timestep).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=generator)[:INPUTS_PER_TIMESTEP]]
        products = [_products(model, targets, data, part, generator) for part in rows.split(BATCH)]
        errors = {name: sum(float(p[name].square().sum()) for p in products) for name in targets}
        values = torch.tensor(list(errors.values()), dtype=torch.float64)
        shares += values / values.sum().clamp(min=torch.finfo(torch.float64).tiny)
        on_timestep()
    return dict(zip(targets, (shares / len(timesteps)).tolist(), strict=True))


def _products(
    model: Network, targets: Mapping[str, FP4Linear], data: CalibrationSet, rows: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """float64 [len(rows)] per layer: v^T J n for each of the model inputs `rows`.

    Forward without a graph, keeping the input of each block, then backward with the graph of one block at a time:
    a whole model's would take gigabytes.
    """
    contexts = model.contexts(data.timestep[rows], at(data.conditions, rows))
    inputs = [model.embed(data.latents[rows])]
    inputs += [visit.run() for visit in walk(model, inputs[0], contexts)]
    with torch.enable_grad():
        tokens = inputs.pop().requires_grad_()
        noise = model.end(tokens, contexts[0])[:, : data.latents.shape[1]]
        signs = torch.randint(0, 2, noise.shape, generator=generator) * 2.0 - 1.0
        (gradient,) = torch.autograd.grad((noise * signs).sum(), tokens)
    products = {}
    for index in reversed(range(len(model.blocks))):
        block, prefix = float_block(model, index), f"blocks.{index}."
        probes = {
            name: _Probe(linear_at(block, name.removeprefix(prefix)), target)
            for name, target in targets.items()
            if name.startswith(prefix)
        }
        handles = [probe.linear.register_forward_hook(probe) for probe in probes.values()]
        try:
            with torch.enable_grad():
                tokens = inputs.pop().requires_grad_()
                outputs = block(tokens, contexts[index])
                of_layers = [probe.output for probe in probes.values()]
                gradient, *gradients = torch.autograd.grad(outputs, [tokens, *of_layers], gradient)
        finally:
            for handle in handles:
                handle.remove()
        for (name, probe), found in zip(probes.items(), gradients, strict=True):
            products[name] = (found * probe.noise).flatten(1).sum(dim=1).double()
    return products


def spend_budget(shares: Mapping[str, float], costs: Mapping[str, int], budget: float) -> list[str]:
    """The layers, best share per cost first, whose costs together stay within `budget` of the cost of all."""
    left = budget * sum(costs.values())
    chosen = []
    for name in sorted(shares, key=lambda name: (-shares[name] / costs[name], name)):
        if costs[name] <= left:
            chosen.append(name)
            left -= costs[name]
    return chosen
