# SPDX-License-Identifier: Apache-2.0
"""The fused denoisers: what the DiT computes, and in ExecuTorch the bits that torch gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_dit import tiny_dit
from torch import nn

from hqdit_mobile.export.lowering.denoiser import Denoiser, GuidedDenoiser, example_inputs
from hqdit_mobile.export.lowering.executorch import lower
from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.ops import native
from hqdit_mobile.ops.fp4_linear import FP4Linear

CONFIG = DiTConfig(hidden_size=48, depth=2, num_heads=3, in_channels=3, out_channels=3, sample_size=8, num_classes=5)
LINEARS = 4 * CONFIG.depth + CONFIG.depth + 2 + 2  # of the blocks, their adaLN, the timestep, the final layer


@pytest.fixture(scope="module", params=[False, True], ids=["shared embedders", "embedders of each block"])
def dit(request) -> DiT:
    return tiny_dit(replace(CONFIG, block_embedders=request.param))


def quantized(layer: nn.Linear, rng: np.random.Generator) -> FP4Linear:
    """Random weights of about the size that nn.Linear starts with."""
    n, k = layer.weight.shape
    result = FP4Linear(k, n, group=16, rotation=16)
    codes, tables = rng.integers(0, 16, (n, k)), rng.integers(0, 19, (n, k // 16))
    scale = torch.full((n,), 0.02 / k**0.5)
    result.set_weight(*(torch.from_numpy(a.astype(np.uint8)) for a in (codes, tables)), scale)
    result.bias = layer.bias.clone()
    return result


@pytest.fixture(scope="module")
def quantized_dit(dit) -> DiT:
    """fp4_linear in the blocks and in one layer of the timestep's; the rest stays float."""
    result, rng = DiT(dit.config).eval().requires_grad_(False), np.random.default_rng(1)
    result.load_state_dict(dit.state_dict())
    for block in result.blocks:
        block.attn.qkv, block.attn.proj = quantized(block.attn.qkv, rng), quantized(block.attn.proj, rng)
        block.mlp.fc1, block.mlp.fc2 = quantized(block.mlp.fc1, rng), quantized(block.mlp.fc2, rng)
    result.t_embedder.fc1 = quantized(result.t_embedder.fc1, rng)
    return result


def inputs(timestep: float) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(int(timestep))
    return torch.randn(1, 3, 8, 8, generator=generator), torch.tensor([timestep]), torch.tensor([2])


@pytest.mark.parametrize("timestep", [0.0, 37.5, 999.0])
def test_fused_denoisers_compute_the_dit(dit, timestep):
    latents, t, label = inputs(timestep)
    expected = dit(latents.expand(2, -1, -1, -1), t.expand(2), torch.cat([label, torch.tensor([dit.null_label])]))
    assert expected.std() > 0.1
    for fused in (True, False):
        torch.testing.assert_close(GuidedDenoiser(dit, fused)(latents, t, label), expected, rtol=1e-4, atol=2e-5)
        torch.testing.assert_close(Denoiser(dit, fused)(latents, t, label), expected[:1], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("timestep", [0.0, 37.5, 999.0])
def test_batches_do_not_change_bits(quantized_dit, timestep):
    """One batch with both labels, as torch samples, or halves that share their embeddings, as a phone does."""
    latents, t, label = inputs(timestep)
    both = torch.cat([label, torch.tensor([quantized_dit.null_label])])
    together = Denoiser(quantized_dit, fused=True)(torch.cat([latents, latents]), t.expand(2), both)
    assert torch.equal(together, GuidedDenoiser(quantized_dit, fused=True)(latents, t, label))


@pytest.mark.slow
def test_executorch_gives_the_same_bits(quantized_dit):
    from executorch.runtime import Runtime

    torch.ops.load_library(str(native.library_path("hqdit_ops")))
    guided, single = GuidedDenoiser(quantized_dit, fused=True), Denoiser(quantized_dit, fused=True)
    example = example_inputs(quantized_dit)
    lowered = lower({"guided": (guided, example), "single": (single, example)})
    own = len(quantized_dit.block_embedders)
    quantized_layers = sum(isinstance(module, FP4Linear) for module in quantized_dit.modules())
    for name, count in {
        "linear_f32": LINEARS + 2 * own - quantized_layers + 1,  # and the patch embedding
        "fp4_linear": quantized_layers - CONFIG.depth,
        "fp4_linear_gelu": CONFIG.depth,
        "silu_f32": 2 + 2 * own,
        "timestep_embedding": 1 + own,
    }.items():
        assert lowered.operators[f"hqdit::{name}"] == 2 * count  # in two methods: no delegate has taken one
    assert "hqdit::gelu_tanh" not in lowered.operators
    program = Runtime.get().load_program(lowered.data)
    methods = [(program.load_method("guided"), guided), (program.load_method("single"), single)]
    for timestep in (0.0, 37.5, 999.0):
        for method, module in methods:
            assert torch.equal(method.execute(list(inputs(timestep)))[0], module(*inputs(timestep)))
