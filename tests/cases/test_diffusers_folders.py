# SPDX-License-Identifier: Apache-2.0
"""DiTPipeline folders as people have them: the network and the decoder that are loaded compute what diffusers' do."""

import json
import shutil

import pytest
import torch
from checkpoint_folders import TINY, tiny_folder
from diffusers import AutoencoderKL, AutoencoderTiny, DiTTransformer2DModel, VQModel
from safetensors.torch import load_file, save_file

from hqdit_mobile.export.lowering.vae_decoder import ImageDecoder
from hqdit_mobile.model.checkpoints import CheckpointError
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.model.loading import load_model

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path):
    tiny_folder(tmp_path / "model")
    return tmp_path / "model"


def edit(file, **values):
    content = json.loads(file.read_text()) | values
    file.write_text(json.dumps({key: value for key, value in content.items() if value != "absent"}))


def change_weights(folder, change):
    file = folder / "transformer" / WEIGHTS
    state = {name: tensor.clone() for name, tensor in load_file(file).items()}
    save_file(change(state), file)


def assert_computes_diffusers(folder, reference=None, model=None):
    reference = reference or DiTTransformer2DModel.from_pretrained(folder / "transformer").eval()
    model = model or load_model(str(folder))
    generator = torch.Generator().manual_seed(3)
    latents, t, label = (
        torch.randn(3, 4, 8, 8, generator=generator),
        torch.tensor([0, 31, 980]),
        torch.tensor([1, 9, 10]),
    )
    with torch.no_grad():
        expected = reference(latents, timestep=t, class_labels=label).sample
        got = model.dit(latents, t.float(), label)
    assert expected.std() > 0.05
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
    return model


def train(folder, steps=10):
    """AdamW on DiTTransformer2DModel, as any script does it: embedders of the blocks part."""
    model = DiTTransformer2DModel.from_pretrained(folder / "transformer").train()
    optimizer, generator = torch.optim.AdamW(model.parameters(), lr=1e-2), torch.Generator().manual_seed(0)
    for _ in range(steps):
        noise = torch.randn(8, 4, 8, 8, generator=generator)
        t, label = torch.randint(0, 1000, (8,), generator=generator), torch.randint(0, 10, (8,), generator=generator)
        (model(noise, timestep=t, class_labels=label).sample[:, :4] - noise).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(folder / "transformer")


def test_embedders_of_every_block_are_kept(folder):
    assert not load_model(str(folder)).dit.config.block_embedders
    train(folder)
    for streamed in (False, True):
        model = assert_computes_diffusers(folder, model=load_model(str(folder), streamed=streamed))
        assert model.dit.config.block_embedders and "its own embedders" in model.notes[0]


def test_weights_of_norms_are_folded(folder):
    torch.manual_seed(0)
    model = DiTTransformer2DModel(**TINY, norm_elementwise_affine=True).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # outputs of about 1: float32 differs by far less than 1e-4
    model.save_pretrained(folder / "transformer")
    assert any("norms" in note for note in assert_computes_diffusers(folder).notes)


@pytest.mark.parametrize("config", [{"norm_eps": 1e-2}, {"patch_size": 4}, {"out_channels": None}, {"dropout": 0.1}])
def test_fields_of_the_configuration(config, folder):
    torch.manual_seed(0)
    model = DiTTransformer2DModel(**TINY | config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder / "transformer")
    assert_computes_diffusers(folder)


def to_shards(folder):
    file = folder / "transformer" / WEIGHTS
    state = load_file(file)
    names = sorted(state)
    index = {}
    for i, part in enumerate((names[:20], names[20:])):
        shard = f"diffusion_pytorch_model-0000{i + 1}-of-00002.safetensors"
        save_file({name: state[name] for name in part}, file.parent / shard)
        index |= dict.fromkeys(part, shard)
    file.with_name(f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    file.unlink()


def to_variant(folder):
    for part in ("transformer", "vae"):
        file = folder / part / WEIGHTS
        file.rename(file.with_name("diffusion_pytorch_model.fp32.safetensors"))


def to_bin(folder):
    file = folder / "transformer" / WEIGHTS
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()


def add_byte_order_mark(folder):
    file = folder / "model_index.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())


@pytest.mark.parametrize("change", [to_shards, to_variant, to_bin, add_byte_order_mark])
def test_files_of_other_kinds(change, folder):
    reference = DiTTransformer2DModel.from_pretrained(folder / "transformer").eval()
    change(folder)
    assert_computes_diffusers(folder, reference)


def test_another_vae_from_all_kinds_of_places(folder, tmp_path, monkeypatch):
    torch.manual_seed(7)
    vae = AutoencoderKL(block_out_channels=(32,), latent_channels=4).eval()
    vae.save_pretrained(tmp_path / "own")
    vae.save_pretrained(tmp_path / "pipeline" / "vae")
    hub = tmp_path / "hub" / "models--some--vae"
    shutil.copytree(tmp_path / "own", hub / "snapshots" / "1")
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    latents = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        expected = vae.decode(latents / vae.config.scaling_factor).sample
    for place in (tmp_path / "own", tmp_path / "pipeline", tmp_path / "own" / WEIGHTS, "some/vae"):
        torch.testing.assert_close(load_model(str(folder), vae=str(place)).decode(latents), expected)
    with pytest.raises(FileNotFoundError, match="neither config.json nor vae/config.json"):
        load_model(str(folder), vae=str(tmp_path))


VAES = [
    {"scaling_factor": 0.5},
    {"scaling_factor": 1.5, "shift_factor": 0.06},
    {"latents_mean": [0.1, -0.2, 0.3, 0.0], "latents_std": [2.0, 0.5, 1.0, 3.0]},
    {"use_post_quant_conv": False, "use_quant_conv": False},
    {"mid_block_add_attention": False},
    {"norm_num_groups": 16},
    {"up_block_types": ["UpDecoderBlock2D", "AttnUpDecoderBlock2D"]},
]


@pytest.mark.parametrize("config", VAES, ids=str)
def test_decoders(config, folder):
    torch.manual_seed(2)
    sizes = {"block_out_channels": (32, 64), "down_block_types": ("DownEncoderBlock2D",) * 2}
    vae = AutoencoderKL(**sizes | {"up_block_types": ("UpDecoderBlock2D",) * 2} | config).eval()
    shutil.rmtree(folder / "vae")
    vae.save_pretrained(folder / "vae")
    latents = torch.randn(1, 4, 8, 8)
    # What StableDiffusionXLPipeline and, for the shift, StableDiffusion3Pipeline do before they decode.
    mean = torch.tensor(config.get("latents_mean", [config.get("shift_factor", 0.0)] * 4)).view(1, 4, 1, 1)
    std = torch.tensor(config.get("latents_std", [1.0] * 4)).view(1, 4, 1, 1)
    with torch.no_grad():
        expected = vae.decode(latents * std / vae.config.scaling_factor + mean).sample
    torch.testing.assert_close(load_model(str(folder)).decode(latents), expected, atol=1e-4, rtol=1e-4)


def test_autoencoder_tiny(folder):
    shutil.rmtree(folder / "vae")
    torch.manual_seed(2)
    blocks = {"encoder_block_out_channels": (16, 16), "decoder_block_out_channels": (16, 16)}
    vae = AutoencoderTiny(**blocks, num_encoder_blocks=(1, 1), num_decoder_blocks=(2, 1)).eval()
    vae.save_pretrained(folder / "vae")
    model, latents = load_model(str(folder)), torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(model.decode(latents), vae.decode(latents).sample)
        # And as a bundle computes it, with each upsampling in the convolution behind it.
        fused = ImageDecoder(model.vae, fused=True)
        torch.testing.assert_close(fused(latents), vae.decode(latents).sample, atol=1e-5, rtol=1e-5)
    assert model.image_size == 16
    edit(folder / "vae/config.json", act_fn="mish")
    with pytest.raises(CheckpointError, match="act_fn must be 'relu'"):
        load_model(str(folder))


def test_a_model_of_pixels(folder):
    torch.manual_seed(0)
    DiTTransformer2DModel(**TINY | {"in_channels": 3, "out_channels": 6}).save_pretrained(folder / "transformer")
    model, image = load_model(str(folder), vae="none"), torch.randn(1, 3, 8, 8)
    assert torch.equal(model.decode(image), image) and model.image_size == 8


def vae_of(made):
    def change(folder):
        shutil.rmtree(folder / "vae")
        made.save_pretrained(folder / "vae")

    return change


def field(file, **values):
    return lambda folder: edit(folder / file, **values)


def tensor(name):
    return lambda folder: change_weights(folder, lambda state: state | {name: torch.ones(64)})


CONFIG = "transformer/config.json"
REFUSED = {
    "norm": (tensor("transformer_blocks.0.attn1.norm_q.weight"), "norms of queries and keys"),
    "text": (tensor("transformer_blocks.0.attn2.to_q.weight"), "it attends to a text"),
    "fewer blocks": (field(CONFIG, num_layers=1), "num_layers is 1, but the weights have 2"),
    "a billion blocks": (field(CONFIG, num_layers=10**9), "num_layers must be an integer of 1 to 1024"),
    "no blocks": (field(CONFIG, num_layers=-1), "num_layers must be"),
    "heads": (field(CONFIG, num_attention_heads=10**6), "num_attention_heads must be"),
    "heads as text": (field(CONFIG, num_attention_heads="2"), "num_attention_heads must be"),
    "other heads": (field(CONFIG, num_attention_heads=4), "has shape"),
    "classes": (field(CONFIG, num_embeds_ada_norm=10**9), "num_embeds_ada_norm must be"),
    "other classes": (field(CONFIG, num_embeds_ada_norm=17), "has shape"),
    "patch 0": (field(CONFIG, patch_size=0), "patch_size must be"),
    "no side": (field(CONFIG, sample_size=None), "sample_size must be"),
    "not square": (field(CONFIG, sample_size=[8, 16]), "only square images"),
    "a huge side": (field(CONFIG, sample_size=10**9), "sample_size must be"),
    "eps": (field(CONFIG, norm_eps=float("inf")), "Infinity"),
    "activation": (field(CONFIG, activation_fn="geglu"), "activation_fn must be 'gelu-approximate'"),
    "another class": (field(CONFIG, _class_name="PixArtTransformer2DModel"), "describes a PixArt"),
    "quantized": (field(CONFIG, quantization_config={"load_in_8bit": True}), "'quantization_config' is not understood"),
    "labels as list": (field("model_index.json", id2label=["a", "b"]), "id2label must map"),
    "labels by text": (field("model_index.json", id2label={"cat": 0}), "id2label must map"),
    "too many labels": (field("model_index.json", id2label={"12": "a"}), "names class 12"),
    "grey": (vae_of(AutoencoderKL(in_channels=1, out_channels=1, block_out_channels=(32,))), "out_channels must be 3"),
    "16 channels": (vae_of(AutoencoderKL(latent_channels=16, block_out_channels=(32,))), "the VAE takes 16"),
    "quantized latents": (vae_of(VQModel(block_out_channels=(32,))), "describes a VQModel"),
    "no std": (field("vae/config.json", latents_mean=[0.0] * 4), "latents_mean and latents_std must come together"),
    "a deep VAE": (field("vae/config.json", block_out_channels=[32] * 10**4), "at most 12 integers"),
    "a wide VAE": (field("vae/config.json", latent_channels=10**9), "latent_channels must be"),
    "VAE field": (field("vae/config.json", decoder_noise=1), "'decoder_noise' is not understood"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, folder):
    change, message = REFUSED[name]
    change(folder)
    with pytest.raises(CheckpointError) as caught:
        load_model(str(folder))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[1]", b"{", b"[" * 100_000, b'{"a": NaN}'])
def test_broken_configurations(content, folder):
    (folder / CONFIG).write_bytes(content)
    with pytest.raises(CheckpointError, match="config.json"):
        load_model(str(folder))


def test_a_shard_outside_the_folder(folder):
    to_shards(folder)
    index = folder / "transformer" / f"{WEIGHTS}.index.json"
    edit(index, weight_map={"a": "../x.safetensors"})
    with pytest.raises(CheckpointError, match="no name of a file beside it"):
        load_model(str(folder))


def test_what_the_user_says_must_fit(folder):
    for given, message in ((Given(family="sit"), "its family is dit"), (Given(num_heads=8), "--num-heads 8")):
        with pytest.raises(CheckpointError, match=message):
            load_model(str(folder), given=given)
    assert load_model(str(folder), given=Given(licence="MIT")).licence == "MIT"
    with pytest.raises(ValueError, match="--licence"):
        load_model("builtin:emoji-dit", given=Given(licence="MIT"))
