# SPDX-License-Identifier: Apache-2.0
"""Random models in the layout of diffusers' DiTPipeline."""

import json

import torch
from diffusers import AutoencoderKL, DiTTransformer2DModel

TINY = {"num_attention_heads": 2, "attention_head_dim": 64, "num_layers": 2, "sample_size": 8}
TINY |= {"num_embeds_ada_norm": 10, "in_channels": 4, "out_channels": 8, "attention_bias": True}
TINY |= {"activation_fn": "gelu-approximate"}


def tiny_folder(path, state_extra=None, config_extra=None):
    torch.manual_seed(0)
    model = DiTTransformer2DModel(**TINY).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    for block in model.transformer_blocks[1:]:
        block.norm1.emb.load_state_dict(model.transformer_blocks[0].norm1.emb.state_dict())
    torch.manual_seed(1)
    vae = AutoencoderKL(block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2,
                        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4).eval()  # fmt: skip
    model.save_pretrained(path / "transformer")
    vae.save_pretrained(path / "vae")
    (path / "scheduler").mkdir()
    (path / "scheduler/scheduler_config.json").write_text(json.dumps({"_class_name": "PNDMScheduler"}))
    (path / "model_index.json").write_text(json.dumps({"id2label": {str(i): f"thing {i}" for i in range(10)}}))
    return model, vae
