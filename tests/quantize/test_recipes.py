# SPDX-License-Identifier: Apache-2.0
"""HQ-DiT's format per channel, and the recipes by name."""

import copy
from dataclasses import replace

import pytest
import torch
from tiny_dit import tiny_dit

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.ops.formats import E1M2, E2M1, E3M0, FORMATS
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.quantize.channel_formats import by_channel, ratio_choice
from hqdit_mobile.quantize.gptq import damped, gptq
from hqdit_mobile.quantize.job import quantize_
from hqdit_mobile.quantize.recipes import RECIPES, recipe
from hqdit_mobile.util.metrics import snr_db

ALL = list(FORMATS.values())


def problem(rows=24, k=64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(rows, k, generator=generator, dtype=torch.float64)
    weight[::3] = weight[::3].pow(3)  # heavy tails
    weight[1::3] = torch.rand(len(weight[1::3]), k, generator=generator, dtype=torch.float64) + 0.5  # none
    x = torch.randn(512, k, generator=generator, dtype=torch.float64) * torch.linspace(0.2, 2, k)
    return weight, damped(x.t() @ x / len(x), 0.01)


def error(weight, hessian, quantized):
    lattice = quantized.lattice(weight.shape[1]).double() * quantized.scale.double()[:, None]
    return torch.einsum("nk,kl,nl->n", weight - lattice, hessian, weight - lattice)


@pytest.mark.parametrize(("ratio", "format"), [(5.0, E1M2), (9.0, E1M2), (9.3, E2M1), (27.0, E2M1), (28.0, E3M0)])
def test_the_ratio_rule_takes_the_nearest_own_ratio(ratio, format):
    """Ratios of the formats: 7, 12, 64; in the logarithm they meet at 9.17 and 27.7."""
    row = torch.cat([torch.full((50,), 1.0), torch.tensor([ratio])])[None]
    assert ALL[int(ratio_choice(row, ALL))] is format


def test_heavy_tails_get_wider_formats():
    weight, _ = problem()
    own = torch.tensor([64.0 if f is E3M0 else 12.0 if f is E2M1 else 7.0 for f in ALL])[ratio_choice(weight, ALL)]
    assert own[::3].mean() > own[2::3].mean() > own[1::3].mean() == 7


def test_by_error_each_channel_has_its_best_format():
    weight, hessian = problem()
    chosen = error(weight, hessian, by_channel(weight, hessian, ALL, "error"))
    each = torch.stack([error(weight, hessian, gptq(weight, hessian, [format], weight.shape[1])) for format in ALL])
    torch.testing.assert_close(chosen, each.amin(dim=0), rtol=1e-9, atol=0)
    assert (each.argmin(dim=0).unique().numel()) == 3


def test_by_ratio_each_channel_has_the_format_of_the_rule():
    weight, hessian = problem()
    quantized = by_channel(weight, hessian, ALL, "ratio")
    first = torch.tensor([format.first_id for format in ALL])[ratio_choice(weight, ALL)]
    count = torch.tensor([format.multipliers for format in ALL])[ratio_choice(weight, ALL)]
    ids = quantized.tables[:, 0].long()
    assert quantized.tables.shape == (len(weight), 1)
    assert ((ids >= first) & (ids < first + count)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_quantizes(name):
    model = tiny_dit()
    original = copy.deepcopy(model)
    config = replace(recipe(name), calibration_samples=2, calibration_steps=3)
    quantize_(model, config, Process())
    inputs = (
        torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1)),
        torch.tensor([900.0, 400, 5]),
        torch.arange(3),
    )
    assert snr_db(original(*inputs), model(*inputs)) > (10 if "hq-dit" in name else 15)


def test_hq_dit_is_as_published():
    model = tiny_dit()
    quantize_(model, replace(recipe("hq-dit"), calibration_samples=2, calibration_steps=3), Process())
    for name in model.recipe_layers():
        layer = model.get_submodule(name)
        assert isinstance(layer, FP4Linear)
        assert layer.activation == "e2m1" and layer.activation_group == layer.group == layer.in_features
        assert layer.rotation == layer.in_features
        # Signs of a random Hadamard and its normalisation, nothing more.
        torch.testing.assert_close(layer.pre.abs(), torch.full_like(layer.pre, layer.in_features**-0.5))


def test_gptq_beats_nearest():
    found = {}
    for name in ("w4a8", "w4a8-nearest"):
        model = tiny_dit()
        config = replace(recipe(name), calibration_samples=4, calibration_steps=4, shrinkage=0.0)
        found[name] = quantize_(model, config, Process())
    gains = [a.snr_db - b.snr_db for a, b in zip(found["w4a8"].layers, found["w4a8-nearest"].layers, strict=True)]
    assert sum(gains) / len(gains) > 1


def test_unknown_recipe():
    with pytest.raises(ValueError, match="no recipe 'int3'; known: w4a8"):
        recipe("int3")
