# SPDX-License-Identifier: Apache-2.0
"""Scales and biases learned end to end: gradients against torch's own, what changes, what it is good for."""

import copy
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from rich.console import Console
from tiny_dit import tiny_config, tiny_dit

from hqdit_mobile.cli.main import export
from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.diffusion.trajectory import guided_prediction, trajectory
from hqdit_mobile.ops.fp4_linear import FP4Linear, fp4_linear_reference
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.job import quantize_
from hqdit_mobile.quantize.tuning import _TunedLinear, draw_tuning_set
from hqdit_mobile.util.progress import Stages
from hqdit_mobile.util.resume_store import WorkFolder

TUNED = {"tuning_steps": 60, "tuning_samples": 4}


def quantized_layer(activation: str) -> FP4Linear:
    generator = torch.Generator().manual_seed(0)
    layer = FP4Linear(64, 48, pre=True, rotation=32, activation=activation)
    codes = torch.randint(0, 16, (48, 64), generator=generator, dtype=torch.uint8)
    tables = torch.randint(0, 16, (48, 4), generator=generator, dtype=torch.uint8)
    layer.set_weight(codes, tables, 0.001 + torch.rand(48, generator=generator) / 1000)
    layer.bias, layer.pre = torch.randn(48, generator=generator), 0.5 + torch.rand(64, generator=generator)
    return layer


@pytest.mark.parametrize("activation", ["int8", "fp4"])
def test_gradients_are_those_of_the_definition(activation):
    layer = quantized_layer(activation)
    x = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    direction = torch.randn(2, 5, 48, generator=torch.Generator().manual_seed(2))
    tuned = _TunedLinear(layer)
    tuned.unit.fill_(1.0)
    y = tuned(x)
    assert torch.equal(y, layer(x))
    (y * direction).sum().backward()

    scale, bias = layer.scale.clone().requires_grad_(True), layer.bias.clone().requires_grad_(True)
    _, codes, tables, _, _, *rest = layer.operands(x.detach())
    (fp4_linear_reference(x.detach(), codes, tables, scale, bias, *rest) * direction).sum().backward()
    torch.testing.assert_close(tuned.scale_change.grad, scale.grad * layer.scale, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(tuned.bias_change.grad, bias.grad, rtol=1e-5, atol=1e-5)
    # For the inputs the layer counts as the linear one that it stands for.
    torch.testing.assert_close(x.grad, direction @ layer.dequantized_weight(), rtol=1e-4, atol=1e-5)


def test_the_set_is_what_the_float_model_said():
    model, config = tiny_dit(), tiny_config(tuning_samples=10)
    data = draw_tuning_set(model, config, Process(), lambda: None)
    assert len(data.latents) == 10 * 3 and data.noise.shape == (30, 2, 4, 8, 8)
    for row in (0, 13, 29):
        labels = torch.stack([data.conditions["label"][row], torch.tensor(model.null_label)])
        expected = model(data.latents[[row, row]], data.timestep[row].repeat(2), labels)[:, :4]
        torch.testing.assert_close(data.noise[row], expected, rtol=1e-4, atol=1e-5)


def guided_error(model, original) -> float:
    """Mean square error of guided noise on runs that nothing was learned from."""
    start = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(123))
    label, total = torch.arange(6), 0.0
    with torch.no_grad():
        for t, latents, noise in trajectory(original, Process(), start, label, 3, 2.5):
            if t is not None:
                total += (guided_prediction(model, latents, t, label, 2.5, 4) - noise).square().mean().item()
    return total


@pytest.mark.slow
# Of random weights; in w4a4 most of the error comes from the inputs, which nothing here can change.
@pytest.mark.parametrize(("precision", "at_most"), [("w4a8", 0.9), ("w4a4", 0.97)])
def test_new_pictures_come_nearer_and_the_codes_stay(precision, at_most):
    original = tiny_dit()
    plain, tuned = copy.deepcopy(original), copy.deepcopy(original)
    config = tiny_config(precision=precision)
    quantize_(plain, config, Process())
    quantize_(tuned, replace(config, **TUNED), Process())
    assert guided_error(tuned, original) < at_most * guided_error(plain, original)
    for name, layer in plain.named_modules():
        other = tuned.get_submodule(name)
        assert type(other) is type(layer)
        if isinstance(layer, FP4Linear):
            assert torch.equal(other.codes, layer.codes) and torch.equal(other.tables, layer.tables)
            assert not torch.equal(other.scale, layer.scale) and not torch.equal(other.bias, layer.bias)
    assert not any(parameter.requires_grad for parameter in tuned.parameters())


class Killed(Exception):
    pass


def test_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("hqdit_mobile.quantize.tuning.SAVE_EVERY", 4)
    config = tiny_config(tuning_steps=10, tuning_samples=2)
    whole, killed, resumed = tiny_dit(), tiny_dit(), tiny_dit()
    quantize_(whole, config, Process())

    class Tuning(Stages):
        """Kills in the 7th step."""

        def __init__(self):
            super().__init__(Console(quiet=True))
            self.done = self.skipped = 0

        def begin(self, name, total=None):
            super().begin(name, total)
            self.tuning = name.startswith("Tune")

        def skip(self, steps=1):
            self.skipped += self.tuning * steps

        def advance(self, steps=1):
            self.done += self.tuning
            if self.done == 7:
                raise Killed

    with pytest.raises(Killed), WorkFolder(tmp_path / "work") as work:
        quantize_(killed, config, Process(), Tuning(), work)
    with WorkFolder(tmp_path / "work") as work:
        assert work.get("tuning")[1] == 4
        rest = Tuning()
        quantize_(resumed, config, Process(), rest, work)
    assert (rest.skipped, rest.done) == (4, 6)
    expected, got = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(got[name], value) for name, value in expected.items())


def test_settings():
    assert HQDiTConfig().tuning_steps == 0
    with pytest.raises(ValueError, match="tuning_steps must be a non-negative integer, not -1"):
        HQDiTConfig(tuning_steps=-1)
    done = CliRunner().invoke(export, ["--fast", "--quality", "high", "-o", "never"])
    assert done.exit_code == 2 and "--quality high takes its time" in done.output
