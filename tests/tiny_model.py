# SPDX-License-Identifier: Apache-2.0
"""A bundle whose networks have a few hundred weights and need no operator of ours: to test the loop, not the DiT."""

import hashlib
import json
from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch import Tensor, nn

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.util.garbage import collecting_new_objects_only

CLASSES = 5
LATENT = (4, 8, 8)
IMAGE = (3, 16, 16)
SCALE = 0.8


class Denoiser(nn.Module):
    """Predicts noise mostly along the sample, so that trajectories stay of order one."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.out = nn.Conv2d(8, 4, 3, padding=1)
        self.label = nn.Embedding(CLASSES + 1, 8)

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        shift = self.label(label) + (timestep / 1000)[:, None]
        hidden = torch.tanh(self.conv(latents) + shift[:, :, None, None])
        return 0.9 * latents + 0.3 * self.out(hidden)


class GuidedDenoiser(nn.Module):
    def __init__(self, denoiser: Denoiser):
        super().__init__()
        self.denoiser = denoiser
        self.register_buffer("null", torch.tensor([CLASSES]))

    def forward(self, latents: Tensor, timestep: Tensor, label: Tensor) -> Tensor:
        return self.denoiser(torch.cat([latents, latents]), timestep, torch.cat([label, self.null]))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        image = self.conv(latents)
        return 1.5 * torch.tanh(image).repeat_interleave(2, 2).repeat_interleave(2, 3)


def networks() -> tuple[Denoiser, GuidedDenoiser, Decoder]:
    torch.manual_seed(0)
    denoiser = Denoiser()
    return denoiser, GuidedDenoiser(denoiser), Decoder()


def lower(methods: dict[str, tuple[nn.Module, tuple]]) -> bytes:
    """A .pte with these methods of (module, example inputs)."""
    with torch.no_grad(), collecting_new_objects_only():
        programs = {name: torch.export.export(module.eval(), inputs) for name, (module, inputs) in methods.items()}
        return to_edge_transform_and_lower(programs, partitioner=[XnnpackPartitioner()]).to_executorch().buffer


def step_inputs(latent: tuple[int, ...] = LATENT) -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros(1, *latent), torch.zeros(1), torch.zeros(1, dtype=torch.int64)


def make_files() -> dict[str, bytes]:
    denoiser, guided, decoder = networks()
    steps = {"denoise": (denoiser, step_inputs()), "denoise_guided": (guided, step_inputs())}
    return {
        "transformer.pte": lower(steps),
        "vae_decoder.pte": lower({"decode": (decoder, (torch.zeros(1, *LATENT),))}),
    }


def make_manifest(files: dict[str, bytes], process: Process | None = None) -> dict:
    """Of schema 1, or of schema 2 with a process."""
    manifest = _manifest(files)
    if process is None:
        return manifest
    del manifest["scheduler"], manifest["guidance"]
    manifest["defaults"]["scheduler"] = process.sampler
    manifest["conditions"] = [{"name": "label", "type": "int64", "shape": [], "null": CLASSES}]
    return manifest | {"schema_version": 2, "process": process.to_json()}


def _manifest(files: dict[str, bytes]) -> dict:
    return {
        "schema_version": 1,
        "name": "tiny",
        "target": "desktop",
        "runtime": "executorch",
        "model": {
            "latent_shape": list(LATENT),
            "image_shape": list(IMAGE),
            "num_classes": CLASSES,
            "null_label": CLASSES,
            "vae_scaling_factor": SCALE,
        },
        "files": {
            name.removesuffix(".pte"): {
                "path": name,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            for name, data in files.items()
        },
        "methods": {"guided": "denoise_guided", "unguided": "denoise", "decode": "decode"},
        "scheduler": {
            "num_train_timesteps": 1000,
            "beta_start": 1e-4,
            "beta_end": 0.02,
            "beta_schedule": "linear",
            "prediction_type": "epsilon",
            "timestep_spacing": "leading",
            "steps_offset": 0,
            "set_alpha_to_one": True,
        },
        "defaults": {"scheduler": "ddim", "steps": 10, "guidance_scale": 3.0, "guidance_interval": [0.0, 1.0]},
        "guidance": {"channels": 4},
        "preview": {
            "matrix": [[0.5, -0.25, 0.125, 0.0], [0.0, 0.5, -0.5, 0.25], [0.25, 0.25, 0.25, -0.25]],
            "bias": [0.1, -0.2, 0.0],
        },
        "memory": {"weights_bytes": 10_000, "arena_bytes": 200_000, "peak_bytes": 1_000_000},
        "labels": [f"class {i} \N{SLIGHTLY SMILING FACE}" for i in range(CLASSES)],
        "a key of a later version": None,
    }


def without_null_class(manifest: dict) -> dict:
    """That of a model which was trained without dropping labels, and draws without guidance."""
    del manifest["model"]["null_label"], manifest["methods"]["guided"]
    manifest["defaults"]["guidance_scale"] = 1
    for condition in manifest.get("conditions", []):
        del condition["null"]
    return manifest


def decoder_tiles() -> dict:
    """How a decoder of this model could run in tiles, for tests of the manifest's reader."""
    first = {"method": "up", "source": 0, "to": [1], "halo": 1, "scale": 2, "tile": [4, 8], "add": -1, "statistics": 0}
    last = {"method": "out", "source": 1, "to": [], "halo": 1, "scale": 1, "tile": [8, 16], "add": 1, "statistics": 1}
    maps = [{"shape": [8, 8, 8], "stored": True}, {"shape": [4, 16, 16], "stored": True}]
    return {"head": "head", "groups": 2, "maps": maps, "sections": [first, last]}


def write_bundle(folder: Path, files: dict[str, bytes], manifest: dict | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest or make_manifest(files)), encoding="utf-8")
    return folder
