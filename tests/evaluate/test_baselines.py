# SPDX-License-Identifier: Apache-2.0
"""The formats that we compare with, against their specifications."""

import copy

import pytest
import torch
from tiny_dit import tiny_config, tiny_dit
from torch import nn

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.evaluate.baselines import (
    BASELINES,
    INT4_ROW,
    MXFP4,
    NVFP4,
    BlockFormat,
    BlockQuantizedLinear,
    gptq_blocks,
    quantize_baseline_,
)
from hqdit_mobile.model.arithmetic import FUSED
from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.ops.fp4_linear import FP4Linear
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.gptq import damped
from hqdit_mobile.quantize.weight_cost import weight_bits
from hqdit_mobile.util.metrics import snr_db


def test_int4_is_symmetric_rounding():
    x = torch.tensor([[7.0, -3.4, 0.4, -6.6], [0.0, 0.0, 0.0, 0.0]])
    assert INT4_ROW.quantize(x).tolist() == [[7, -3, 0, -7], [0, 0, 0, 0]]


def test_mxfp4_scales_are_powers_of_two_and_clip():
    """OCP Microscaling formats 1.0, section 6.3: the shared exponent is that of the largest value, less 2 for E2M1."""
    x = torch.zeros(1, 32)
    x[0, :6] = torch.tensor([7.9, 5.1, 4.9, -2.4, 0.3, 0.2])  # exponent 2: scale 1
    assert MXFP4.quantize(x)[0, :6].tolist() == [6, 6, 4, -2, 0.5, 0]
    assert torch.equal(MXFP4.quantize(x * 2**-7), MXFP4.quantize(x) * 2**-7)


def test_nvfp4_stores_e4m3_block_scales():
    x = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    scale = NVFP4.scales(NVFP4.blocks(x), NVFP4.tensor_scale(x))
    stored = scale / NVFP4.tensor_scale(x)
    torch.testing.assert_close(stored.to(torch.float8_e4m3fn).float(), stored, rtol=1e-6, atol=0)
    assert stored.max() == pytest.approx(448)
    torch.testing.assert_close(scale, NVFP4.blocks(x).abs().amax(-1, keepdim=True) / 6, rtol=1 / 16, atol=0)


def test_four_over_six_never_errs_more():
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    adaptive = BlockFormat(NVFP4.grid, 16, "e4m3", four_over_six=True)
    errors = [f.blocks(f.quantize(x) - x).square().sum(-1) for f in (adaptive, NVFP4)]
    assert (errors[0] <= errors[1] + 1e-6).all() and errors[0].sum() < 0.9 * errors[1].sum()


@pytest.mark.parametrize("name", BASELINES)
def test_gptq_without_correlations_is_rounding(name):
    weight = torch.randn(6, 64, generator=torch.Generator().manual_seed(0))
    format, _ = BASELINES[name]
    assert torch.equal(gptq_blocks(weight, torch.eye(64, dtype=torch.float64), format), format.quantize(weight))


@pytest.mark.parametrize("name", ["int4-g32-gptq", "nvfp4-4over6-gptq"])
def test_gptq_lowers_the_error_of_the_output(name):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(32, 64, generator=generator)
    x = torch.randn(512, 64, generator=generator) @ torch.randn(64, 64, generator=generator)
    format, _ = BASELINES[name]
    rounded = gptq_blocks(weight, damped(x.t() @ x, 0.01), format)
    assert snr_db(x @ weight.t(), x @ rounded.t()) > snr_db(x @ weight.t(), x @ format.quantize(weight).t()) + 2


@pytest.mark.parametrize("name", ["int4-rtn", "mxfp4-rtn", "nvfp4-gptq"])
def test_a_model_in_a_baseline_format(name):
    model = tiny_dit()
    original = copy.deepcopy(model)
    quantize_baseline_(model, name, tiny_config(), Process())
    assert sum(isinstance(layer, BlockQuantizedLinear) for layer in model.modules()) == 8
    # int4-rtn has a float16 scale a row: of 64 inputs in qkv, proj and fc1 (two thirds of the weights), 256 in fc2.
    bits = {"int4-rtn": 4 + 16 * (2 / 3 / 64 + 1 / 3 / 256), "mxfp4-rtn": 4.25, "nvfp4-gptq": 4.5}
    assert weight_bits(model) == pytest.approx(bits[name])
    inputs = torch.randn(3, 4, 8, 8), torch.tensor([900.0, 400, 5]), torch.arange(3)
    assert 5 < snr_db(original(*inputs), model(*inputs)) < 40


def test_unknown_baseline():
    with pytest.raises(ValueError, match="no baseline 'fp3'"):
        quantize_baseline_(None, "fp3", HQDiTConfig(), Process())


class Recorded(type(FUSED)):
    """FUSED, and whether it was asked for attention of quantized products."""

    def attention(self, qkv, heads, quantized):
        self.quantized = quantized
        return super().attention(qkv, heads, quantized)


@pytest.mark.parametrize(("layer", "in_int8"), [(BlockQuantizedLinear, False), (FP4Linear, True), (nn.Linear, False)])
def test_attention_is_in_float_but_for_our_layers(layer, in_int8):
    """docs/quality.md: a baseline is simulated in its linear layers alone, on every device."""
    attention = DiT(DiTConfig(hidden_size=64, depth=1, num_heads=2, sample_size=8)).blocks[0].attn
    made = {
        BlockQuantizedLinear: lambda: BlockQuantizedLinear(torch.zeros(192, 64), torch.zeros(192), MXFP4),
        FP4Linear: lambda: FP4Linear(64, 192),
        nn.Linear: lambda: nn.Linear(64, 192),
    }
    attention.qkv, recorded = made[layer](), Recorded()
    with torch.no_grad():
        attention(torch.randn(2, 16, 64), recorded)
    assert recorded.quantized is in_int8
