# SPDX-License-Identifier: Apache-2.0
"""Calibration on a tiny DiT: what is drawn, the moments against float64 products, and data that cannot be used."""

import math

import pytest
import torch
from tiny_dit import tiny_dit
from torch import nn

from hqdit_mobile.diffusion.plan import plan
from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.diffusion.trajectory import guided_prediction, solver_step
from hqdit_mobile.model.dit import DiT
from hqdit_mobile.ops.fp4_linear import FP4Linear, quantize_activation
from hqdit_mobile.ops.rotation import hadamard, random_signs
from hqdit_mobile.quantize.calibration import (
    SAMPLE_ROWS,
    TOKENS_PER_INPUT,
    CalibrationError,
    Observer,
    draw_calibration_set,
    draw_conditions,
    input_quantizer,
    observing,
    pick_tokens,
)
from hqdit_mobile.quantize.config import HQDiTConfig

CONFIG = HQDiTConfig(calibration_samples=3, calibration_steps=4, guidance_scale=3.0, seed=5)


@pytest.fixture
def model() -> DiT:
    return tiny_dit()


def layer_with(k: int, rotation: int, activation: str) -> FP4Linear:
    layer = FP4Linear(k, 8, pre=True, rotation=rotation, activation=activation)
    layer.pre = random_signs(k, 1) / math.sqrt(rotation) * torch.linspace(0.5, 2.0, k)
    return layer


def test_the_set_holds_what_a_guided_run_shows_the_model(model):
    steps = []
    data = draw_calibration_set(model, CONFIG, Process(), lambda done, total: steps.append((done, total)))
    assert len(data) == 3 * 4 * 2 and data.latents.shape == (24, 4, 8, 8)
    assert data.timestep.view(4, 6)[:, 0].tolist() == [750, 500, 250, 0]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    latents, labels = data.latents.view(4, 2, 3, 4, 8, 8), data.conditions["label"].view(4, 2, 3)
    assert torch.equal(latents[:, 0], latents[:, 1]) and (labels[:, 1] == 7).all() and (labels[:, 0] < 7).all()
    noise = guided_prediction(model, latents[0, 0], 750, labels[0, 0], 3.0, 4)
    expected, _ = solver_step(plan(Process(), 4)[0], latents[0, 0], noise)
    torch.testing.assert_close(latents[1, 0], expected)


def test_input_statistics_cover_every_token_and_step(model):
    data = draw_calibration_set(model, CONFIG, Process())
    seen = []
    handle = model.blocks[1].mlp.fc2.register_forward_pre_hook(lambda _, a: seen.append(a[0].double()))
    model(*data.at(slice(None)))
    handle.remove()
    assert set(data.inputs) == {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    rows, statistics = seen[0].flatten(0, 1), data.inputs["blocks.1.mlp.fc2"]
    assert statistics.tokens == len(rows) == 24 * 16
    torch.testing.assert_close(statistics.mean, rows.mean(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(statistics.mean_square, rows.square().mean(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(statistics.variance, rows.var(dim=0, correction=0), rtol=1e-3, atol=1e-5)


def test_the_set_depends_on_the_seed_alone(model):
    first, again, other = (
        draw_calibration_set(model, config, Process())
        for config in (CONFIG, CONFIG, HQDiTConfig(calibration_samples=3, calibration_steps=4, seed=6))
    )
    assert torch.equal(first.latents, again.latents)
    assert torch.equal(first.conditions["label"], again.conditions["label"])
    assert not torch.equal(first.latents, other.latents)


def test_conditions_are_half_unconditional(model):
    timestep, conditions = draw_conditions(model, Process(), 0)
    label = conditions["label"]
    assert (label == 7).float().mean() == pytest.approx(0.5)
    assert set(label.tolist()) == set(range(8)) and timestep.min() >= 0 and timestep.max() < 1000


@pytest.mark.parametrize("activation", ["int8", "fp4", "e2m1"])
@pytest.mark.parametrize("rotation", [1, 16])
def test_input_quantizer_returns_what_the_product_sees(activation, rotation):
    layer = layer_with(48, rotation, activation)
    x = torch.randn(9, 48, generator=torch.Generator().manual_seed(0))
    rotated = ((x * layer.pre).view(-1, rotation) @ hadamard(rotation).float()).view(9, 48)
    got = input_quantizer(layer)(x)
    if rotation == 1:
        points, scale = quantize_activation(rotated, activation, 16)
        torch.testing.assert_close(got, points * scale[:, None], rtol=1e-6, atol=0)
    assert (got - rotated).norm() < (0.01 if activation == "int8" else 0.12) * rotated.norm()


def test_moments_are_the_sums_over_all_tokens():
    """With as few tokens as this, all are used: compare with products in float64."""
    linear = nn.Linear(32, 8).requires_grad_(False)
    observer = Observer("layer", linear, layer_with(32, 16, "fp4"))
    inputs = [torch.randn(2, 20, 32, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    with observing({"layer": observer}, 0, lambda: torch.zeros(2)):
        for x in inputs:
            linear(x)
    moments = observer.result()
    x = torch.cat(inputs).view(-1, 32)
    quantized = input_quantizer(observer.target)(x).double()
    rotated = ((x.double() * observer.target.pre.double()).view(-1, 16) @ hadamard(16).double()).view(-1, 32)
    assert moments.tokens == 120
    torch.testing.assert_close(moments.gram, quantized.t() @ quantized, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(moments.cross, rotated.t() @ quantized, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(moments.total, rotated.sum(dim=0), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(moments.quantized_total, quantized.sum(dim=0), rtol=1e-5, atol=1e-4)
    assert torch.equal(moments.sample, x)
    linear(inputs[0])
    assert observer.result().tokens == 120, "it observes after the end"


def test_long_inputs_are_sampled_by_seed():
    linear = nn.Linear(16, 4)
    x = torch.randn(3, 2 * TOKENS_PER_INPUT, 16, generator=torch.Generator().manual_seed(1))

    def gram(seed: int) -> torch.Tensor:
        observer = Observer("layer", linear, layer_with(16, 1, "int8"))
        with observing({"layer": observer}, seed, lambda: torch.zeros(3)):
            linear(x)
        moments = observer.result()
        assert moments.tokens == len(moments.sample) == 3 * TOKENS_PER_INPUT
        return moments.gram

    assert torch.equal(gram(0), gram(0)) and not torch.equal(gram(0), gram(1))


def test_a_quarter_of_longer_inputs_is_sampled():
    x = torch.arange(2.0 * 8 * TOKENS_PER_INPUT).view(2, 8 * TOKENS_PER_INPUT, 1)
    picked = pick_tokens(x, torch.Generator().manual_seed(0)).view(2, -1)
    assert picked.shape == (2, 2 * TOKENS_PER_INPUT)
    for image, tokens in zip(x, picked, strict=True):
        assert len(tokens.unique()) == len(tokens) and torch.isin(tokens, image).all()


def test_without_products_the_means_stay():
    linear = nn.Linear(32, 8).requires_grad_(False)
    x = torch.randn(3000, 32, generator=torch.Generator().manual_seed(0))
    whole, means = (Observer("layer", linear, layer_with(32, 16, "int8"), products) for products in (True, False))
    for observer in (whole, means):
        observer.add(x, torch.Generator())
    moments = means.result()
    assert moments.gram is None and moments.cross is None and len(moments.sample) <= SAMPLE_ROWS
    assert torch.equal(moments.total, whole.result().total)
    assert torch.equal(moments.quantized_total, whole.result().quantized_total)


@pytest.mark.parametrize(("value", "kind"), [(math.nan, "NaN"), (math.inf, "infinite"), (-math.inf, "infinite")])
def test_unusable_activations_name_layer_and_timestep(value, kind):
    linear = nn.Linear(16, 4)
    observer = Observer("blocks.3.mlp.fc1", linear, layer_with(16, 1, "int8"))
    x = torch.zeros(3, 5, 16)
    x[1, 4, 2] = value
    timesteps = torch.tensor([950.0, 450.0, 0.0])
    with (
        pytest.raises(CalibrationError, match=rf"blocks\.3\.mlp\.fc1.*{kind}.*timestep 450"),
        observing({"layer": observer}, 0, lambda: timesteps),
    ):
        linear(x)
    linear(x)  # no longer observed
