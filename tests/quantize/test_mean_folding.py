# SPDX-License-Identifier: Apache-2.0
"""Folding means into biases: the same function, inputs without a mean."""

import copy

import torch
from tiny_dit import tiny_config, tiny_dit

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.quantize.calibration import draw_calibration_set
from hqdit_mobile.quantize.mean_folding import centered_layers, fold_means_


def test_the_model_stays_the_same_and_its_inputs_lose_their_mean():
    model = tiny_dit()
    for block in model.blocks:  # values and shifts far from zero, so that there is something to move
        block.attn.qkv.bias.normal_(1.0)
        block.adaLN.bias.normal_(1.0)
    data = draw_calibration_set(model, tiny_config(), Process())
    names = centered_layers(model)
    assert len(names) == 6 and all(data.inputs[name].mean.abs().max() > 0.3 for name in names)
    original = copy.deepcopy(model)
    fold_means_(model, {name: data.inputs[name].mean for name in names})
    inputs = data.at(slice(None))
    torch.testing.assert_close(model(*inputs), original(*inputs), rtol=1e-4, atol=1e-4)
    seen: dict[str, torch.Tensor] = {}
    for name in names:
        hook = lambda _, arguments, name=name: seen.__setitem__(name, arguments[0])  # noqa: E731
        model.get_submodule(name).register_forward_pre_hook(hook)
    model(*inputs)
    for name in names:
        assert seen[name].mean(dim=(0, 1)).abs().max() < 1e-4
