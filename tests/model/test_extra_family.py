# SPDX-License-Identifier: Apache-2.0
"""A network of another family, which only this file knows, goes the whole way: its class says what it is made of."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from onnx_cases import session
from tiny_dit import TINY, tiny_config
from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import Condition
from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.diffusion.trajectory import guided_prediction
from hqdit_mobile.export.bundle.parity_parts import model_parts
from hqdit_mobile.export.lowering.denoiser import Denoiser, GuidedDenoiser, example_inputs
from hqdit_mobile.export.lowering.executorch import lower
from hqdit_mobile.export.lowering.onnx.lower import transformer_to_onnx
from hqdit_mobile.model.arithmetic import PLAIN, Arithmetic
from hqdit_mobile.model.checkpoints.build import network_from_state
from hqdit_mobile.model.dit import DiT, DiTBlock, DiTConfig
from hqdit_mobile.model.network import Layer
from hqdit_mobile.ops import native
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.quantize.calibration import draw_calibration_set, suited_to
from hqdit_mobile.quantize.job import quantize_
from hqdit_mobile.quantize.weight_cost import a4_share
from hqdit_mobile.util.metrics import snr_db

STYLE = 16


class MixedBlock(DiTBlock):
    """The DiT's block and one linear layer more, which sees tokens."""

    def __init__(self, config: DiTConfig):
        super().__init__(config)
        self.mix = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, context: Tensor, ops: Arithmetic = PLAIN) -> Tensor:
        x = super().forward(x, context, ops)
        return x + ops.linear(self.mix, x)


class StyledDiT(DiT):
    """A DiT that takes a style, float32 [16], beside the class."""

    block_layers = (*DiT.block_layers, Layer("mix", "tokens", "recipe"))

    def __init__(self, config: DiTConfig):
        super().__init__(config)
        self.style_embedder = nn.Linear(STYLE, config.hidden_size)

    @staticmethod
    def new_block(config: DiTConfig) -> MixedBlock:
        return MixedBlock(config)

    @property
    def conditions(self) -> Mapping[str, Condition]:
        style = Condition(torch.float32, 0.0, lambda count, g: torch.randn(count, STYLE, generator=g), (STYLE,))
        return {**super().conditions, "style": style}

    @property
    def outer_layers(self) -> tuple[Layer, ...]:
        return (*super().outer_layers, Layer("style_embedder", "conditions", "int8"))

    def context(
        self, timestep: Tensor, conditions: Mapping[str, Tensor], index: int = 0, ops: Arithmetic = PLAIN
    ) -> Tensor:
        of_timestep, of_label = self.embedders(index)
        styled = of_label(conditions["label"]) + ops.linear(self.style_embedder, conditions["style"])
        return ops.silu(of_timestep(timestep, ops) + styled)


class Unguided(StyledDiT):
    @property
    def conditions(self) -> Mapping[str, Condition]:
        style = super().conditions["style"]
        return {"label": super().conditions["label"], "style": Condition(style.dtype, None, style.draw, style.shape)}


def network(kind: type[DiT] = StyledDiT) -> DiT:
    torch.manual_seed(0)
    return kind(TINY).eval().requires_grad_(False)


def inputs(timestep: float, rows: int = 1) -> tuple[Tensor, ...]:
    g = torch.Generator().manual_seed(int(timestep))
    style = torch.randn(rows, STYLE, generator=g)
    return torch.randn(rows, 4, 8, 8, generator=g), torch.full((rows,), timestep), torch.arange(rows), style


CONFIG = tiny_config(precision="w4a4", int8_share=0.3, tuning_steps=2, tuning_samples=2)


@pytest.fixture(scope="module")
def quantized():
    """(the network, the report), to be left unchanged."""
    model = network()
    return model, quantize_(model, CONFIG, Process(guided_channels=3))


def test_calibration_draws_every_condition():
    data = draw_calibration_set(network(), CONFIG, Process())
    halves = {name: value.unflatten(0, (3, 2, 2)) for name, value in data.conditions.items()}
    assert (halves["label"][:, 1] == 7).all() and (halves["label"][:, 0] < 7).all()
    assert (halves["style"][:, 1] == 0).all() and (halves["style"][:, 0] != 0).all()


def test_layers_have_the_roles_that_the_class_gives(quantized):
    model, report = quantized
    float_layers = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    assert float_layers == {"t_embedder.fc1", "final.linear"}
    activations = {layer.name: layer.activation for layer in report.layers}
    assert activations["style_embedder"] == "int8" and "blocks.1.mix" in activations
    four_bit = [name for name, activation in activations.items() if activation == "fp4"]
    assert 0 < len(four_bit) < 10 and set(four_bit) <= set(model.recipe_layers())
    products = {name: model.get_submodule(name).in_features * model.get_submodule(name).out_features
                for name in (*activations, *float_layers)}  # fmt: skip
    per_token = [*model.recipe_layers(), "final.linear"]
    total = sum(count * (16 if name in per_token else 1) for name, count in products.items())
    assert a4_share(model) == pytest.approx(sum(16 * products[name] for name in four_bit) / total)


def test_it_computes_what_the_float_network_does(quantized):
    model, _ = quantized
    for timestep in (0.0, 500.0):
        x = inputs(timestep, 4)
        assert snr_db(network()(*x)[:, :4], model(*x)[:, :4]) > 12


def test_streamed_blocks_give_the_same_bits(quantized):
    streamed = network_from_state(StyledDiT, TINY, network().state_dict(), streamed=True)
    quantize_(streamed, CONFIG, Process(guided_channels=3))
    expected, got = quantized[0].state_dict(), streamed.state_dict()
    assert expected.keys() == got.keys() and all(torch.equal(expected[name], got[name]) for name in expected)


@pytest.mark.slow
def test_lowered_programs_have_its_bits(quantized):
    from executorch.runtime import Runtime

    model = quantized[0]
    torch.ops.load_library(str(native.library_path("hqdit_ops")))
    guided, single = GuidedDenoiser(model, fused=True), Denoiser(model, fused=True)
    example = example_inputs(model)
    program = Runtime.get().load_program(lower({"guided": (guided, example), "single": (single, example)}).data)
    onnx = session(transformer_to_onnx(model), native=True)
    for timestep in (0.0, 999.0):
        x = inputs(timestep)
        expected = guided(*x)
        assert torch.equal(program.load_method("guided").execute(list(x))[0], expected)
        assert torch.equal(program.load_method("single").execute(list(x))[0], single(*x))
        latents, t, label, style = (value.numpy() for value in x)
        rows = {"labels": np.append(label, 7), "styles": np.append(style, 0 * style, axis=0)}
        assert np.array_equal(onnx.run(None, {"latents": latents, "timestep": t} | rows)[0], expected.numpy())


def test_parity_looks_at_its_layers(quantized):
    model = quantized[0]
    conditions = {"label": torch.tensor([2]), "style": torch.ones(1, STYLE)}
    parts = model_parts(model, torch.zeros(1, 4, 8, 8), 500.0, conditions)
    names = {part.name for part in parts}
    assert {"style_embedder", "blocks.0.mix", "blocks.1.attn", "blocks.1.block"} <= names
    assert sum(isinstance(module, FP4Linear) for module in model.modules()) == sum(p.stage == "linear" for p in parts)


def test_a_condition_without_a_null_value_means_no_guidance():
    model, (latents, t, label, style) = network(Unguided), inputs(500.0, 2)
    got = guided_prediction(model, latents, 500.0, {"label": label, "style": style}, 1.0, 3)
    torch.testing.assert_close(got, model(latents, t, label, style)[:, :4], rtol=0, atol=0)
    unguided = suited_to(CONFIG, model)
    assert len(draw_calibration_set(model, unguided, Process())) == 2 * 3
    quantize_(model, unguided, Process())
    with pytest.raises(ValueError, match="no null class to guide away from"):
        GuidedDenoiser(model)
    with pytest.raises(ValueError, match="the network takes label, style, not label"):
        guided_prediction(model, latents, 500.0, {"label": label}, 1.0, 3)


def test_a_layer_without_a_role_is_refused():
    class Forgotten(StyledDiT):
        block_layers = DiT.block_layers

    with pytest.raises(ValueError, match="layer mix of the block has no role"):
        quantize_(network(Forgotten), CONFIG, Process())
    with pytest.raises(ValueError, match="a recipe is for layers that see tokens"):
        Layer("adaLN", "context", "recipe")
