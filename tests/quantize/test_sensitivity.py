# SPDX-License-Identifier: Apache-2.0
"""Sensitivity from one backward pass against quantizing one layer at a time and looking at the noise prediction."""

import copy

import pytest
import torch
from tiny_dit import tiny_dit
from torch import nn

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.quantize.calibration import draw_calibration_set, input_quantizer
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.layer import new_layer, transformed_weight
from hqdit_mobile.quantize.sensitivity import noise_shares, spend_budget

CONFIG = HQDiTConfig(precision="w4a4", calibration_samples=8, calibration_steps=3)


class QuantizedInputs(nn.Module):
    """A float layer whose inputs alone go through FP4."""

    def __init__(self, linear, target, weight):
        super().__init__()
        self.linear, self.quantizer, self.weight = linear, input_quantizer(target), weight.float()

    def forward(self, x):
        return self.quantizer(x) @ self.weight.t() + self.linear.bias


@pytest.fixture(scope="module")
def case():
    model = tiny_dit()
    model.blocks[0].mlp.fc1.weight *= 3.0  # so that layers differ by more than the probes' own noise
    model.blocks[1].attn.proj.weight *= 0.1
    data = draw_calibration_set(model, CONFIG, Process())
    names = model.recipe_layers()
    targets = {n: new_layer(model.get_submodule(n), CONFIG, "fp4", data.inputs[n].mean_square) for n in names}
    weights = {n: transformed_weight(model.get_submodule(n), targets[n]) for n in names}
    return model, data, targets, weights


def test_shares_are_those_of_quantizing_one_layer_at_a_time(case):
    model, data, targets, weights = case
    timesteps = data.timestep.unique()
    expected = {}
    inputs = data.at(slice(None))
    exact = model(*inputs)[:, :4]
    errors = []
    for name in targets:
        changed = copy.deepcopy(model)
        parent, _, child = name.rpartition(".")
        linear = model.get_submodule(name)
        setattr(changed.get_submodule(parent), child, QuantizedInputs(linear, targets[name], weights[name]))
        error = (changed(*inputs)[:, :4] - exact).double().square().sum(dim=(1, 2, 3))
        errors.append([float(error[data.timestep == t].sum()) for t in timesteps])
    errors = torch.tensor(errors)
    expected = dict(zip(targets, (errors / errors.sum(dim=0)).mean(dim=1).tolist(), strict=True))
    # Each run has 3 timesteps x 4 inputs, a squared normal variable each: average a few runs.
    runs = [noise_shares(model, targets, data, seed) for seed in range(24)]
    for name in targets:
        share = sum(run[name] for run in runs) / len(runs)
        assert share == pytest.approx(expected[name], rel=0.35, abs=0.01), name
    assert sum(runs[0].values()) == pytest.approx(1.0)


def test_measuring_leaves_the_model_alone_and_repeats(case):
    model, data, targets, _ = case
    first, again = (noise_shares(model, targets, data, 5) for _ in range(2))
    assert first == again
    assert all(not module._forward_hooks for module in model.modules())


def test_budget_goes_to_the_best_share_per_cost_that_still_fits():
    shares = {"a": 0.5, "b": 0.3, "c": 0.15, "d": 0.05}
    costs = {"a": 40, "b": 10, "c": 10, "d": 40}
    assert spend_budget(shares, costs, 0.0) == []
    assert spend_budget(shares, costs, 0.1) == ["b"]
    assert spend_budget(shares, costs, 0.25) == ["b", "c"]
    assert spend_budget(shares, costs, 0.5) == ["b", "c"]  # "a" would need 0.6
    assert spend_budget(shares, costs, 1.0) == ["b", "c", "a", "d"]
