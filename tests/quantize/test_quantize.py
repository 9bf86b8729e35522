# SPDX-License-Identifier: Apache-2.0
"""quantize_ as a whole on a tiny DiT, its configuration, and the built-in model's figures."""

import copy
from dataclasses import replace

import pytest
import torch
from tiny_dit import TINY, tiny_config, tiny_dit
from torch import nn

from hqdit_mobile.diffusion.noise_error import eps_snr_db
from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.quantize.calibration import CalibrationError, draw_calibration_set
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.job import quantize_
from hqdit_mobile.quantize.mean_folding import centered_layers, fold_means_
from hqdit_mobile.util.metrics import psnr_db, snr_db


def tiny_inputs(model: DiT) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    size = model.config.sample_size
    latents = torch.randn(6, model.config.in_channels, size, size, generator=torch.Generator().manual_seed(1))
    return latents, torch.tensor([900.0, 700, 500, 300, 100, 0]), torch.arange(6)


@pytest.mark.parametrize(
    ("precision", "least_snr", "own"), [("w4a8", 22, False), ("w4a4", 16, False), ("w4a4", 16, True)]
)
def test_every_linear_but_the_first_and_the_last_is_replaced(precision, least_snr, own):
    """own: whether every block has embedders of its own."""
    model = tiny_dit(replace(TINY, block_embedders=own))
    original = copy.deepcopy(model)
    report = quantize_(model, tiny_config(precision=precision), Process())
    linears = {name for name, module in original.named_modules() if isinstance(module, nn.Linear)}
    replaced = {name for name, module in model.named_modules() if isinstance(module, FP4Linear)}
    first = {name for name in linears if name.endswith("t_embedder.fc1")}
    assert len(first) == (2 if own else 1)
    assert replaced == linears - first - {"final.linear"} == {layer.name for layer in report.layers}
    for layer in report.layers:
        module = model.get_submodule(layer.name)
        assert module.activation == layer.activation
        assert sum(layer.formats.values()) == module.out_features * -(-module.in_features // 16)
        assert set(layer.formats) == {"e2m1", "e1m2", "e3m0"} and layer.formats["e3m0"] == 0
        stored = sum(b.numel() * b.element_size() * 8 for b in (module.codes, module.tables, module.scale))
        assert layer.bits_per_weight == stored / (module.in_features * module.out_features)
    assert report.float_bytes == sum(p.numel() * 4 for p in original.parameters())
    inputs = tiny_inputs(model)
    assert snr_db(original(*inputs), model(*inputs)) > least_snr
    weights = {name: original.get_submodule(name).weight.numel() for name in original.recipe_layers()}
    eight_bits = sum(count for name, count in weights.items() if model.get_submodule(name).activation == "int8")
    # Per block qkv has 3/12 of the multiply-adds, proj 1/12, fc1 and fc2 4/12 each: 10 % of 2 blocks holds two proj.
    assert eight_bits == sum(weights.values()) * (1 if precision == "w4a8" else 2 / 24)
    for name in {layer.name for layer in report.layers} - set(weights):
        assert model.get_submodule(name).activation == "int8"


def test_strict_w4a4_has_no_exception():
    model = tiny_dit()
    report = quantize_(model, tiny_config(precision="w4a4", int8_share=0.0), Process())
    layers = {layer.name: layer.activation for layer in report.layers}
    assert {layers[name] for name in model.recipe_layers()} == {"fp4"}


@pytest.mark.parametrize("name", ["blocks.0.attn.qkv", "blocks.1.mlp.fc2"])
def test_reported_snr_is_that_of_the_layer_on_its_inputs(name):
    """Against the outputs themselves, on all tokens (8 x 8 latents have 16)."""
    model, folded = tiny_dit(), tiny_dit()
    config = tiny_config(precision="w4a4", int8_share=0.0)
    report = quantize_(model, config, Process())
    data = draw_calibration_set(folded, config, Process())
    fold_means_(folded, {layer: data.inputs[layer].mean for layer in centered_layers(folded)})
    seen = []
    folded.get_submodule(name).register_forward_pre_hook(lambda _, a: seen.append(a[0]))
    folded(*data.at(slice(None)))
    expected, got = (m.get_submodule(name)(seen[0]).flatten(0, 1) for m in (folded, model))
    mean = expected.mean(dim=0)
    (reported,) = (layer.snr_db for layer in report.layers if layer.name == name)
    assert reported == pytest.approx(snr_db(expected - mean, got - mean), abs=0.02)
    # The bias corrects what the codes do to the mean.
    torch.testing.assert_close(got.mean(dim=0), mean, rtol=0, atol=1e-4)


def test_same_seed_same_bits_other_seed_other_bits():
    states = []
    for seed in (3, 3, 4):
        model = tiny_dit()
        quantize_(model, tiny_config(seed=seed), Process())
        states.append(model.state_dict())
    first, again, other = states
    assert first.keys() == again.keys() and all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("blocks.1.mlp.fc2.weight", float("nan"), ValueError, r"blocks\.1\.mlp\.fc2\.weight"),
        ("blocks.0.adaLN.bias", float("inf"), ValueError, r"blocks\.0\.adaLN\.bias"),
        # Finite weights whose activations overflow: calibration has to notice.
        ("blocks.1.adaLN.bias", 3e38, CalibrationError, r"blocks\.1\.attn\.(qkv|proj).*timestep 666"),
    ],
)
def test_models_that_cannot_be_calibrated_are_refused(name, value, error, message):
    model = tiny_dit()
    model.get_parameter(name).fill_(value)
    with pytest.raises(error, match=message):
        quantize_(model, tiny_config(), Process())


def test_a_quantized_model_is_not_quantized_again():
    model = tiny_dit()
    quantize_(model, tiny_config(), Process())
    with pytest.raises(TypeError, match=r"blocks\.0\.attn\.qkv is a FP4Linear"):
        quantize_(model, tiny_config(), Process())


def test_an_input_channel_that_is_always_zero_is_harmless():
    model = tiny_dit()
    adaln = model.blocks[0].adaLN
    # Channel 3 of the modulated input of qkv: scale -1, shift 0 for every condition.
    for row, bias in ((3, 0.0), (64 + 3, -1.0)):
        adaln.weight[row], adaln.bias[row] = 0.0, bias
    original = copy.deepcopy(model)
    for rotation in (1, 32):
        quantized = copy.deepcopy(model)
        quantize_(quantized, tiny_config(rotation=rotation), Process())
        inputs = tiny_inputs(model)
        assert snr_db(original(*inputs), quantized(*inputs)) > 20
        weight = quantized.blocks[0].attn.qkv.dequantized_weight()
        assert torch.isfinite(weight).all()


@pytest.mark.parametrize("hidden", [16, 40, 48])
def test_odd_widths(hidden):
    model = tiny_dit(DiTConfig(hidden_size=hidden, depth=1, num_heads=2, sample_size=8, num_classes=3, patch_size=4))
    original = copy.deepcopy(model)
    quantize_(model, tiny_config(precision="w4a4"), Process(guided_channels=3))
    latents, timestep, label = tiny_inputs(model)
    assert snr_db(original(latents, timestep, label % 4), model(latents, timestep, label % 4)) > 12


def test_config_round_trip_and_errors():
    config = HQDiTConfig(precision="w4a4", rotation="full", weight_formats=("e2m1",), seed=9)
    assert HQDiTConfig.from_json(config.to_json()) == config
    with pytest.raises(ValueError, match="no field colour"):
        HQDiTConfig.from_json('{"colour": 1}')
    for changes, message in [
        ({"precision": "w8a8"}, "precision must be one of"),
        ({"group": 24}, "group must be a multiple of 16"),
        ({"group": True}, "group"),
        ({"rotation": 20}, "rotation 20"),
        ({"rotation": "half"}, "rotation must be"),
        ({"weight_formats": ("e5m2",)}, "weight_formats"),
        ({"weight_formats": ()}, "weight_formats"),
        ({"int8_share": 1.5}, "int8_share"),
        ({"damping": 0.0}, "damping"),
        ({"calibration_samples": 0}, "calibration_samples"),
        ({"calibration_steps": 1.5}, "calibration_steps"),
        ({"guidance_scale": 0.5}, "guidance_scale"),
        ({"seed": -1}, "seed"),
    ]:
        with pytest.raises(ValueError, match=message):
            HQDiTConfig(**changes)


def test_metrics_against_their_formulas():
    signal, noisy = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5])
    assert snr_db(signal, noisy) == pytest.approx(20.0)  # 25 / 0.25
    assert snr_db(signal, signal) == float("inf") and snr_db(torch.zeros(2), signal) == float("-inf")
    assert psnr_db(torch.zeros(4), torch.full((4,), 25.5)) == pytest.approx(20.0)
    assert psnr_db(signal, signal) == float("inf")


def test_eps_snr_compares_the_noise_channels_at_the_same_latents():
    reference, model = tiny_dit(), tiny_dit()
    latents = torch.randn(2, 4, 8, 8)
    assert eps_snr_db(reference, model, [(500, latents)], torch.tensor([1, 2])) == {500: float("inf")}
    # Only the rows of the learned variance change: the noise does not.
    variance = [row for row in range(32) if row % 8 >= 4]
    model.final.linear.bias[variance] += 1.0
    assert eps_snr_db(reference, model, [(500, latents)], torch.tensor([1, 2])) == {500: float("inf")}
    model.final.linear.bias += 0.1
    result = eps_snr_db(reference, model, [(500, latents), (20, latents)], torch.tensor([1, 2]))
    labels = torch.tensor([1, 2, 7, 7])
    both = torch.cat([latents, latents])
    expected = reference(both, torch.full((4,), 500.0), labels)[:, :4]
    assert result[500] == pytest.approx(snr_db(expected, expected + 0.1), abs=1e-3) and list(result) == [500, 20]
