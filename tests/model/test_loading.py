# SPDX-License-Identifier: Apache-2.0
"""Loaders: our DiT computes what diffusers' DiTTransformer2DModel computes, whatever file it came from."""

import json

import plain_dit
import pytest
import torch
from checkpoint_folders import tiny_folder
from diffusers import DiTTransformer2DModel
from safetensors.torch import save_file

from hqdit_mobile.model.checkpoints import CheckpointError
from hqdit_mobile.model.checkpoints.diffusers import config_from_diffusers, dit_to_diffusers
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.model.loading import load_model


@pytest.fixture(scope="module")
def emoji():
    return load_model("builtin:emoji-dit")


def run_diffusers(model, latents, timestep, label):
    with torch.no_grad():
        return model(latents, timestep=timestep, class_labels=label).sample


def test_equals_diffusers_on_the_reference_model(emoji):
    config = emoji.dit.config
    reference = DiTTransformer2DModel(
        num_attention_heads=config.num_heads,
        attention_head_dim=config.hidden_size // config.num_heads,
        in_channels=4,
        out_channels=8,
        num_layers=config.depth,
        sample_size=32,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
    ).eval()
    missing, unexpected = reference.load_state_dict(dit_to_diffusers(emoji.dit, 1000), strict=False)
    assert not unexpected and all("pos_embed.pos_embed" in key for key in missing)
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(4, 4, 32, 32, generator=generator)
    timestep = torch.tensor([0.0, 17.0, 500.0, 999.0])
    expected = run_diffusers(reference, latents, timestep, torch.tensor([0, 206, 77, 1000]))
    got = emoji.dit(latents, timestep, torch.tensor([0, 206, 77, emoji.dit.null_label]))
    assert got.shape == (4, 8, 32, 32)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_diffusers_folder(tmp_path):
    reference, vae = tiny_folder(tmp_path)
    loaded = load_model(str(tmp_path))
    assert loaded.labels[3] == "thing 3" and loaded.process.guided_channels == 4
    latents, timestep, label = torch.randn(2, 4, 8, 8), torch.tensor([3.0, 800.0]), torch.tensor([1, 10])
    expected = run_diffusers(reference, latents, timestep, label)
    torch.testing.assert_close(loaded.dit(latents, timestep, label), expected, atol=1e-4, rtol=0)
    image = vae.decode(latents / vae.config.scaling_factor).sample
    torch.testing.assert_close(loaded.decode(latents), image, atol=1e-4, rtol=0)
    assert loaded.image_size == 16


def test_facebook_checkpoint_equals_diffusers_with_its_constants(tmp_path):
    """The original code spaces its frequencies over 128 intervals and uses epsilon 1e-6 in both norms."""
    reference, _ = tiny_folder(tmp_path)
    ours = load_model(str(tmp_path)).dit.state_dict()
    facebook = {"pos_embed": plain_dit.sincos(128, 4).float()[None]}
    rename = {"t_embedder.fc1": "t_embedder.mlp.0", "t_embedder.fc2": "t_embedder.mlp.2",
              "x_embedder": "x_embedder.proj", "y_embedder": "y_embedder.embedding_table",
              "final.adaLN": "final_layer.adaLN_modulation.1", "final.linear": "final_layer.linear"}  # fmt: skip
    for key, value in ours.items():
        name, part = key.rsplit(".", 1)
        name = rename.get(name, name.replace(".adaLN", ".adaLN_modulation.1"))
        facebook[f"{name}.{part}"] = value
    torch.save({"ema": facebook}, tmp_path / "DiT-tiny.pt")
    given = Given(family="dit", num_heads=2, num_classes=10)
    loaded = load_model(str(tmp_path / "DiT-tiny.pt"), vae=str(tmp_path / "vae"), given=given)
    for block in reference.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0
        block.norm3.eps = 1e-6
    latents, timestep, label = torch.randn(2, 4, 8, 8), torch.tensor([3.0, 800.0]), torch.tensor([1, 10])
    expected = run_diffusers(reference, latents, timestep, label)
    torch.testing.assert_close(loaded.dit(latents, timestep, label), expected, atol=1e-4, rtol=0)
    assert loaded.process.guided_channels == 3


def test_unused_label_rows_are_dropped(tmp_path):
    tiny_folder(tmp_path)
    file = tmp_path / "transformer/diffusion_pytorch_model.safetensors"
    model = DiTTransformer2DModel.from_pretrained(tmp_path / "transformer")
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for key, value in state.items():
        if key.endswith("embedding_table.weight"):
            value[6:] = value[-1]
    save_file(state, file)
    (tmp_path / "model_index.json").write_text(json.dumps({"id2label": {str(i): str(i) for i in range(6)}}))
    dit = load_model(str(tmp_path)).dit
    assert dit.config.num_classes == 6 and dit.y_embedder.weight.shape[0] == 7


def test_errors_name_the_file_and_the_fix(tmp_path):
    with pytest.raises(FileNotFoundError, match="model_index.json"):
        load_model(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="builtin:emoji-dit"):
        load_model(str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="emoji-dit"):
        load_model("builtin:unknown")
    with pytest.raises(CheckpointError, match="norm_type"):
        config_from_diffusers({"_class_name": "Transformer2DModel", "norm_type": "layer_norm"})
    (tmp_path / "DiT-bad.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="--vae"):
        load_model(str(tmp_path / "DiT-bad.pt"))
    with pytest.raises(CheckpointError, match=r"DiT-bad\.pt"):
        load_model(str(tmp_path / "DiT-bad.pt"), vae=str(tmp_path))
