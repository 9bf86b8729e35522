# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as training scripts write them: the network that is loaded computes the equations of plain_dit.py."""

import argparse
import collections
import pathlib

import plain_dit
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from hqdit_mobile.model.checkpoints import CheckpointError
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.model.loading import load_model

STATE = plain_dit.random_state()
DIT = Given(family="dit", num_heads=2, num_classes=10)
RUN = {
    "model": "DiT-S/2",
    "num_heads": 2,
    "num_classes": 10,
    "image_size": 16,
    "data_path": pathlib.PurePosixPath("/x"),
}


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae")
    torch.manual_seed(1)
    AutoencoderKL(block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2,
                  up_block_types=("UpDecoderBlock2D",) * 2).save_pretrained(folder)  # fmt: skip
    return str(folder)


def load(path, content, vae, given=DIT):
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return load_model(str(path), vae=vae, given=given)


def inputs(model, count=3):
    c, generator = model.dit.config, torch.Generator().manual_seed(3)
    latents = torch.randn(count, c.in_channels, c.sample_size, c.sample_size, generator=generator)
    return latents, torch.tensor([0.0, 3.5, 800.0])[:count], torch.tensor([0, c.num_classes - 1, c.num_classes])[:count]


def assert_computes(model, state, heads=2):
    x, t, label = inputs(model)
    expected = plain_dit.forward(state, heads, x, t, label)
    torch.testing.assert_close(model.dit(x, t, label).double(), expected, atol=2e-4, rtol=0)


def prefixed(prefix):
    return {prefix + name: tensor for name, tensor in STATE.items()}


OTHER = plain_dit.random_state(seed=1)
WRAPPED = {
    "plain": STATE,
    "ema first": {"model": OTHER, "ema": STATE, "opt": {"state": {}, "param_groups": []}, "steps": 4},
    "ema is empty": {"ema": None, "model": STATE},
    "state_dict": {"state_dict": STATE, "epoch": 3},
    "data parallel": prefixed("module."),
    "ema, data parallel": {"ema": prefixed("module.")},
    "compiled": prefixed("_orig_mod."),
    "compiled, data parallel": prefixed("module._orig_mod."),
    "peft": prefixed("base_model.model."),
    "averaged": {"n_averaged": torch.tensor(7), **prefixed("module.")},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers_and_prefixes(name, tmp_path, vae):
    model = load(tmp_path / "a.pt", WRAPPED[name], vae)
    assert_computes(model, STATE)
    assert bool(model.notes) == (name != "plain")


def test_the_choice_of_weights_is_told(tmp_path, vae):
    model = load(tmp_path / "a.pt", WRAPPED["ema first"], vae)
    assert model.notes == ["weights under 'ema', not 'model'"]


@pytest.mark.parametrize("wrap", [lambda run: argparse.Namespace(**run), dict, lambda run: {"network": run}])
def test_arguments_of_the_run_are_read(wrap, tmp_path, vae):
    model = load(tmp_path / "a.pt", {"ema": STATE, "args": wrap(RUN | {"model": None, "x": "DiT"})}, vae, DIT)
    assert_computes(model, STATE)
    assert model.licence == "unknown: see the source of the checkpoint"
    wide = plain_dit.random_state(hidden=384, depth=12)
    run = {"model": "DiT-S/2", "num_classes": 10, "image_size": 16}
    model = load(tmp_path / "b.pt", {"ema": wide, "args": wrap(run)}, vae, Given())
    assert model.dit.config.num_heads == 6 and model.dit.config.num_classes == 10


def test_omegaconf_is_read_without_omegaconf(tmp_path, vae, monkeypatch):
    """Objects of the package's class names and attributes; its classes are not there when the file is read."""
    import sys
    import types

    def kind(module, name):
        made = type(name, (), {"__module__": f"omegaconf.{module}"})
        monkeypatch.setitem(sys.modules, f"omegaconf.{module}", types.SimpleNamespace(**{name: made}))
        return made

    config, leaf = kind("dictconfig", "DictConfig")(), kind("nodes", "AnyNode")
    nodes = {}
    for name, value in RUN.items():
        nodes[name] = leaf()
        nodes[name].__dict__ |= {"_val": value, "_parent": config}
    config.__dict__ |= {"_content": nodes, "_metadata": None}
    monkeypatch.setitem(sys.modules, "omegaconf", types.SimpleNamespace())
    torch.save({"ema": STATE, "config": config}, tmp_path / "a.pt")
    monkeypatch.undo()
    model = load_model(str(tmp_path / "a.pt"), vae=vae, given=DIT)
    assert_computes(model, STATE)
    with pytest.raises(CheckpointError, match="--num-heads 4 contradicts"):
        load_model(str(tmp_path / "a.pt"), vae=vae, given=Given(family="dit", num_heads=4, num_classes=10))


class Harmful:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("ran"),)


def test_nothing_of_a_file_is_run(tmp_path, vae, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in (("a.pt", {"ema": STATE, "args": Harmful()}), ("b.pt", torch.nn.Linear(2, 2))):
        with pytest.raises(CheckpointError, match=rf"{name} holds an object of [\w.]+, which is not built") as caught:
            load(tmp_path / name, content, vae)
        assert "\n" not in str(caught.value) and not (tmp_path / "ran").exists()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_fixed_positions(dtype, tmp_path, vae):
    half = {name: tensor.to(dtype) for name, tensor in STATE.items()}
    model = load(tmp_path / "a.pt", half, vae)
    assert not model.dit.config.learned_positions
    assert_computes(model, {name: tensor.float() for name, tensor in half.items()} | {"pos_embed": STATE["pos_embed"]})


def test_other_files(tmp_path, vae):
    assert_computes(load(tmp_path / "a.safetensors", STATE, vae), STATE)
    torch.save(collections.OrderedDict(STATE), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert_computes(load_model(str(tmp_path / "old.pt"), vae=vae, given=DIT), STATE)


@pytest.mark.parametrize(
    "sizes",
    [
        {"patch": 1, "grid": 6},
        {"patch": 4, "grid": 2},
        {"patch": 8, "grid": 2},
        {"out": 4},
        {"classes": 1},
        {"ratio": 2},
    ],
)
def test_sizes(sizes, tmp_path, vae):
    state = plain_dit.random_state(**sizes)
    given = Given(family="dit", num_heads=2, num_classes=sizes.get("classes", 10))
    assert_computes(load(tmp_path / "a.pt", state, vae, given), state)


def test_learned_positions_are_kept(tmp_path, vae):
    learned = STATE | {"pos_embed": torch.randn(1, 16, 64, generator=torch.Generator().manual_seed(5))}
    model = load(tmp_path / "a.pt", learned, vae)
    assert model.dit.config.learned_positions
    assert_computes(model, learned)


def with_lora(alpha):
    """(file, the merged weights by hand)"""
    generator = torch.Generator().manual_seed(4)
    file, merged = {}, dict(STATE)
    for name, tensor in STATE.items():
        if not name.endswith("qkv.weight"):
            file[f"base_model.model.{name}"] = tensor
            continue
        layer = name.removesuffix(".weight")
        a, b = torch.randn(3, 64, generator=generator), torch.randn(192, 3, generator=generator)
        merged[name] = tensor + (alpha / 3) * b @ a * 0.01
        file |= {f"base_model.model.{layer}.base_layer.weight": tensor}
        file |= {f"base_model.model.{layer}.lora_A.default.weight": a}
        file |= {f"base_model.model.{layer}.lora_B.default.weight": 0.01 * b}
    file = {k.replace("attn.qkv.bias", "attn.qkv.base_layer.bias"): v for k, v in file.items()}
    return file, merged


def test_lora_is_merged(tmp_path, vae):
    file, merged = with_lora(3)
    model = load(tmp_path / "a.pt", file, vae)
    assert_computes(model, merged)
    assert "LoRA merged into 2 weights (alpha taken as the rank" in model.notes[-1]
    (tmp_path / "adapter_config.json").write_text('{"r": 3, "lora_alpha": 12}')
    file, merged = with_lora(12)
    model = load(tmp_path / "b.pt", file, vae)
    assert_computes(model, merged)
    assert model.notes[-1] == "LoRA merged into 2 weights (alpha / r 4)"
    (tmp_path / "adapter_config.json").write_text('{"r": 3, "lora_alpha": 12, "use_rslora": true}')
    file, merged = with_lora(12 * 3**0.5)
    assert_computes(load(tmp_path / "c.pt", file, vae), merged)
    (tmp_path / "adapter_config.json").write_text('{"r": 3, "lora_alpha": 12, "alpha_pattern": {"qkv": 1}}')
    with pytest.raises(CheckpointError, match="alpha_pattern is not supported; merge the adapter"):
        load(tmp_path / "c.pt", file, vae)


REFUSED = {
    "REPA as DiT": (STATE | {"projectors.0.0.weight": torch.zeros(2, 2)}, DIT, "--family dit contradicts its tensors"),
    "SiT as DiT": ({"ema": STATE, "args": {"prediction": "velocity"}}, DIT, "contradicts its argument 'prediction'"),
    "no family": (STATE, Given(num_heads=2, num_classes=10), "--family with one of dit, sit, repa"),
    "no heads": (STATE, Given(family="dit", num_classes=10), "give --num-heads"),
    "heads that do not divide": (STATE, Given("dit", 3, 10), "64 is not a multiple of num_heads 3"),
    "no classes": (STATE, Given(family="dit", num_heads=2), "the label table has 11 rows: give --num-classes 10"),
    "other classes": (STATE, Given("dit", 2, 7), "has 11 rows, not 7"),
    "an unknown size": ({"ema": STATE, "args": {"model": "DiT-B/2", "num_classes": 10}}, Given(), "give --num-heads"),
    "not square": (STATE | {"pos_embed": torch.zeros(1, 32, 64)}, DIT, "only square images"),
    "query norms": (STATE | {"blocks.0.attn.q_norm.weight": torch.ones(32)}, DIT, "norms of queries and keys"),
    "a text": (STATE | {"blocks.0.cross_attn.q_linear.weight": torch.ones(2)}, DIT, "it attends to a text"),
    "half of a LoRA": (STATE | {"blocks.0.attn.qkv.lora_A.weight": torch.ones(2, 64)}, DIT, "lora_B"),
    "an unknown tensor": (STATE | {"extra": torch.ones(2)}, DIT, "does not use: 'extra'"),
    "a missing tensor": (
        {k: v for k, v in STATE.items() if k != "blocks.1.mlp.fc1.bias"},
        DIT,
        "no tensor 'blocks.1.mlp",
    ),
    "a missing block": ({k: v for k, v in STATE.items() if "blocks.0." not in k}, DIT, "no tensor 'blocks.0.mlp.fc1"),
    "another shape": (STATE | {"blocks.1.mlp.fc2.weight": torch.ones(2, 2)}, DIT, "does not fit its config"),
    "sigma of other size": (STATE | {"final_layer.linear.weight": torch.ones(24, 64)}, DIT, "24 rows"),
    "another image size": ({"ema": STATE, "args": {"image_size": 32}}, DIT, "images of 32 pixels"),
    "another VAE": (plain_dit.random_state(channels=16, out=32), DIT, "16 channels, and the VAE takes 4"),
    "a part not understood": ({"ema": STATE, "ema_of_ema": STATE}, DIT, "'ema_of_ema' beside the weights"),
    "no weights": ({"epoch": 3}, DIT, "has no weights under 'ema'"),
    "a list": ([STATE], DIT, "holds a list"),
    "texts": ({"ema": {"x": "y"}}, DIT, "has no tensor under 'x'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path, vae):
    content, given, message = REFUSED[name]
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path / "a.pt", content, vae, given)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path, vae):
    (tmp_path / "lfs.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 2700000000\n")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "huge.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    torch.save(STATE, tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:200_000])
    expected = {
        "lfs.pt": "git lfs pull",
        "empty.pt": "is empty",
        "huge.safetensors": "header",
        "cut.pt": "cannot be read",
    }
    for name, message in expected.items():
        with pytest.raises(CheckpointError, match=rf"{name}.*{message}"):
            load_model(str(tmp_path / name), vae=vae, given=DIT)
