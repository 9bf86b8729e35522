# SPDX-License-Identifier: Apache-2.0
"""What makes full-size models possible: streamed blocks, random models of the published sizes, and their widths."""

import copy

import pytest
import torch
from checkpoint_folders import tiny_folder
from executorch.runtime import Runtime
from torch import nn

from hqdit_mobile.bench.round_to_nearest import round_model_
from hqdit_mobile.diffusion.trajectory import trajectory
from hqdit_mobile.export.bundle.budget import calibration_for
from hqdit_mobile.export.bundle.job import check_heads
from hqdit_mobile.export.lowering.denoiser import GuidedDenoiser, example_inputs
from hqdit_mobile.export.lowering.executorch import lower
from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.model.loading import load_model
from hqdit_mobile.model.random_model import RandomState, random_config
from hqdit_mobile.model.streaming import StreamedBlock, parameter_count
from hqdit_mobile.ops.native import library_path
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.job import quantize_
from hqdit_mobile.quantize.recipes import recipe

CONFIG = HQDiTConfig(calibration_samples=2, calibration_steps=2)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["w4a8", "w4a4"])
def test_a_streamed_model_gets_the_same_bits(tmp_path, precision):
    tiny_folder(tmp_path)
    states = []
    for streamed in (False, True):
        model = load_model(str(tmp_path), streamed=streamed)
        assert isinstance(model.dit.blocks[0], StreamedBlock) == streamed
        config = HQDiTConfig(precision=precision, calibration_samples=2, calibration_steps=2)
        report = quantize_(model.dit, config, model.process)
        states.append((model.dit.state_dict(), report))
    (whole, first), (streamed, second) = states
    assert whole.keys() == streamed.keys() and all(torch.equal(whole[key], streamed[key]) for key in whole)
    assert first == second


def test_streamed_blocks_run_the_checkpoint_and_do_not_change_it(tmp_path):
    """Centring changes biases of blocks as they are read; the pages of the file must not change with them."""
    tiny_folder(tmp_path)
    model, whole = load_model(str(tmp_path), streamed=True), load_model(str(tmp_path)).dit
    arguments = torch.randn(2, 4, 8, 8), torch.tensor([3.0, 800.0]), torch.tensor([1, 10])
    expected = whole(*arguments)
    assert torch.equal(model.dit(*arguments), expected)
    assert parameter_count(model.dit) == sum(p.numel() for p in whole.parameters())
    assert not list(model.dit.blocks.parameters())
    again = load_model(str(tmp_path), streamed=True).dit
    state = model.dit.blocks[0].state
    quantize_(model.dit, CONFIG, model.process)
    assert torch.equal(again(*arguments), expected)
    assert torch.equal(state["adaLN.bias"], whole.blocks[0].adaLN.bias)


@pytest.mark.parametrize(
    ("spec", "millions"),
    # Peebles and Xie, table 1 (33, 130, 458, 675).
    [
        ("random:DiT-S/8-256", 33),
        ("random:DiT-B/4-256", 130),
        ("random:DiT-L/2-512", 458),
        ("random:DiT-XL/2-256", 675),
    ],
)
def test_random_models_have_the_published_sizes(spec, millions):
    config = random_config(spec)
    with torch.device("meta"):
        count = sum(p.numel() for p in DiT(config).parameters())
    assert round(count / 1e6) == pytest.approx(millions, abs=1)
    assert config.num_classes == 1000 and config.out_channels == 8
    assert config.sample_size == int(spec.rsplit("-", 1)[1]) // 8


@pytest.mark.parametrize(
    ("spec", "recipe_name", "fast", "samples", "runs"),
    [
        ("random:DiT-S/2-256", "w4a8", False, None, (8, 20)),
        ("random:DiT-S/2-256", "w4a8", False, 3, (3, 20)),
        ("random:DiT-S/2-256", "w4a8", True, None, (2, 5)),
        ("random:DiT-S/2-512", "w4a8", False, None, (8, 5)),
        ("random:DiT-S/2-512", "w4a8", False, 3, (3, 5)),
        ("random:DiT-S/2-512", "w4a8", True, 3, (3, 5)),
        ("random:DiT-S/2-512", "w4a8-high", False, None, (8, 20)),
    ],
)
def test_calibration_runs_by_size_of_the_model(spec, recipe_name, fast, samples, runs):
    with torch.device("meta"):
        model = DiT(random_config(spec))
    config = calibration_for(model, recipe(recipe_name), fast, samples)
    assert (config.calibration_samples, config.calibration_steps) == runs
    assert (config.rounding == "nearest") == fast


@pytest.mark.parametrize("spec", ["random:DiT-M/2-256", "random:DiT-XL/3-256", "random:DiT-XL/2-128", "random:"])
def test_random_models_that_do_not_exist(spec):
    with pytest.raises(ValueError, match="random:DiT-SIZE/PATCH-PIXELS"):
        load_model(spec)


@pytest.mark.slow
def test_random_weights_are_seeded_and_every_block_matters():
    model = load_model("random:DiT-S/8-256", streamed=True)
    assert model.has_random_weights and model.name == "DiT-S-8-256-random" and "noise" in model.model_card
    config = model.dit.config
    name = "blocks.3.mlp.fc1.weight"
    assert torch.equal(RandomState(config)[name], RandomState(config)[name])
    assert not torch.equal(RandomState(config)[name], RandomState(config, seed=1)[name])
    assert not torch.equal(RandomState(config)[name], RandomState(config)["blocks.4.mlp.fc1.weight"])
    tokens = model.dit.embed(torch.randn(2, 4, 32, 32))
    context = model.dit.context(torch.tensor([900.0, 20.0]), {"label": torch.tensor([1, 1000])})
    for block in model.dit.blocks:
        moved = block(tokens, context)
        assert 0.05 < (moved - tokens).std() / tokens.std() < 1
        tokens = moved
    assert model.vae.upscale == 8 and model.image_size == 256
    assert round(sum(p.numel() for p in model.vae.parameters()) / 1e6, 1) == 49.5


@pytest.mark.slow
def test_random_models_sample_without_overflow():
    model = load_model("random:DiT-S/8-256", streamed=True)
    noise = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    run = trajectory(model.dit, model.process, noise, torch.tensor([3, 4]), 4, 4.0)
    *_, (_, clean, _) = run
    assert torch.isfinite(clean).all() and clean.std() < 100


@pytest.mark.slow
@pytest.mark.parametrize(("width", "heads"), [(384, 6), (768, 12), (1024, 16), (1152, 16)])
def test_published_widths_run_with_the_same_bits_in_executorch(width, heads):
    torch.manual_seed(0)
    config = DiTConfig(width, 1, heads, sample_size=4, num_classes=3)
    dit = DiT(config).eval().requires_grad_(False)
    dit.drop_learned_sigma_()
    original = copy.deepcopy(dit)
    round_model_(dit, CONFIG)
    kept = {name for name, module in dit.named_modules() if isinstance(module, nn.Linear)}
    assert kept == {"t_embedder.fc1", "final.linear"}  # as in docs/fp4-linear.md
    inputs = torch.randn(1, 4, 4, 4), torch.tensor([300.0]), torch.tensor([1])
    module = GuidedDenoiser(dit, fused=True)
    torch.ops.load_library(str(library_path("hqdit_ops")))
    program = Runtime.get().load_program(lower({"step": (module, inputs)}).data)
    got = program.load_method("step").execute(list(inputs))[0]
    assert torch.equal(got, module(*inputs))
    error = (got - GuidedDenoiser(original)(*inputs)).square().sum() / got.square().sum()
    assert error < 10 ** (-1.5), "15 dB: plain rounding of every layer, one block"


def test_attention_that_no_phone_runs_is_refused_before_any_work():
    check_heads(DiTConfig(1152, 28, 16))
    with pytest.raises(ValueError, match="heads have 144 channels.*8 to 128"):
        check_heads(DiTConfig(1152, 28, 8))


@pytest.mark.slow
def test_a_written_program_is_the_one_in_memory(tmp_path):
    torch.manual_seed(0)
    dit = DiT(DiTConfig(32, 1, 2, sample_size=4, num_classes=3)).eval().requires_grad_(False)
    lowered = lower({"denoise_guided": (GuidedDenoiser(dit, fused=True), example_inputs(dit))})
    lowered.write(tmp_path / "transformer.pte")
    assert (tmp_path / "transformer.pte").read_bytes() == lowered.data
