# SPDX-License-Identifier: Apache-2.0
"""Loads a model by name: the built-in one, a diffusers folder, a Hugging Face id or a facebookresearch checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from hqdit_mobile.checkpoints import (
    CheckpointError,
    config_from_diffusers,
    dit_from_diffusers,
    dit_from_facebook,
    dit_from_state,
)
from hqdit_mobile.dit import DiT, DiTConfig
from hqdit_mobile.sampling import SchedulerConfig
from hqdit_mobile.vae import VAEDecoder, vae_decoder

BUILTIN = "builtin:"
HUB_FILES = ["model_index.json", "transformer/*", "vae/*", "scheduler/*"]


@dataclass
class LoadedModel:
    """Everything an export needs of a model. ``labels[i]`` is the name of class ``i``."""

    name: str
    source: str
    licence: str
    dit: DiT
    vae: VAEDecoder
    scheduler: SchedulerConfig
    labels: list[str]
    guidance_channels: int
    """diffusers guides every latent channel, the original DiT code the first three."""
    defaults: dict[str, Any] = field(default_factory=dict)
    model_card: str = ""

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        config = self.dit.config
        return config.in_channels, config.sample_size, config.sample_size

    @property
    def image_size(self) -> int:
        return self.dit.config.sample_size * self.vae.upscale

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, S, S] as the sampler leaves them -> images [B, 3, H, W] in about -1..1."""
        with torch.no_grad():
            return self.vae(latents / self.vae.scaling_factor)


def load_model(spec: str, vae: str | None = None) -> LoadedModel:
    """Loads ``spec``, one of

    - ``builtin:emoji-dit``, the reference model that comes with this package;
    - a folder in diffusers' DiTPipeline layout (model_index.json, transformer/, vae/, scheduler/);
    - a facebookresearch ``DiT-*.pt`` checkpoint, with ``vae`` a folder that holds an AutoencoderKL;
    - a Hugging Face id such as ``facebook/DiT-XL-2-256`` (needs the network, or the files in its cache).

    Raises FileNotFoundError, CheckpointError or ValueError with the file or field at fault.
    """
    if spec.startswith(BUILTIN):
        return _load_builtin(spec.removeprefix(BUILTIN))
    path = Path(spec)
    if path.suffix in (".pt", ".pth"):
        return _load_facebook(path, vae)
    if path.is_dir():
        return _load_folder(path, spec, "see the source model")
    if path.exists() or spec.count("/") != 1 or spec.startswith((".", "/", "~")):
        raise FileNotFoundError(
            f"no model at {spec!r}: give a DiTPipeline folder, a DiT-*.pt file, a Hugging Face id or {BUILTIN}emoji-dit"
        )
    return _load_hub(spec)


def builtin_models() -> list[str]:
    return ["emoji-dit"]


def _load_builtin(name: str) -> LoadedModel:
    if name not in builtin_models():
        raise ValueError(f"there is no built-in model {name!r}; built in: {', '.join(builtin_models())}")
    folder = Path(__file__).parent / "assets" / name.replace("-", "_")
    config = _read_json(folder / "config.json")
    state = {k: v.float() for k, v in load_file(folder / "transformer.safetensors").items()}
    return LoadedModel(
        name=name,
        source=BUILTIN + name,
        licence=config["licence"],
        dit=dit_from_state(DiTConfig(**config["dit"]), state),
        vae=vae_decoder(config["vae"], load_file(folder / "vae_decoder.safetensors")),
        scheduler=SchedulerConfig(**config["scheduler"]),
        labels=config["labels"],
        guidance_channels=config["guidance_channels"],
        defaults=config["defaults"],
        model_card=(folder / "README.md").read_text(),
    )


def _load_folder(folder: Path, source: str, licence: str) -> LoadedModel:
    index = _read_json(folder / "model_index.json")
    names = {int(k): v for k, v in (index.get("id2label") or {}).items()}
    config = config_from_diffusers(_read_json(folder / "transformer" / "config.json"))
    dit = dit_from_diffusers(config, _read_weights(folder / "transformer"), used_labels=len(names) or None)
    return LoadedModel(
        name=Path(source).name,
        source=source,
        licence=licence,
        dit=dit,
        vae=_load_vae(folder / "vae"),
        scheduler=_scheduler(_read_json(folder / "scheduler" / "scheduler_config.json")),
        labels=[names.get(i, f"class {i}") for i in range(dit.config.num_classes)],
        guidance_channels=config.in_channels,
    )


def _load_hub(repo_id: str) -> LoadedModel:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(repo_id, allow_patterns=HUB_FILES)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"could not get {repo_id!r} from the Hugging Face hub ({error}); download it first and give its folder"
        ) from error
    return _load_folder(Path(folder), repo_id, f"see the model card of {repo_id}")


def _load_facebook(path: Path, vae: str | None) -> LoadedModel:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    if vae is None:
        raise ValueError(f"{path.name} holds the transformer only: give --vae FOLDER with an AutoencoderKL")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise CheckpointError(f"{path} is not a PyTorch checkpoint that can be loaded safely: {error}") from error
    dit = dit_from_facebook(state.get("ema", state))
    return LoadedModel(
        name=path.stem,
        source=str(path.name),
        licence="CC-BY-NC-4.0 (facebookresearch/DiT)",
        dit=dit,
        vae=_load_vae(Path(vae)),
        scheduler=SchedulerConfig(),
        labels=[f"class {i}" for i in range(dit.config.num_classes)],
        guidance_channels=min(3, dit.config.in_channels),
    )


def _load_vae(folder: Path) -> VAEDecoder:
    return vae_decoder(_read_json(folder / "config.json"), _read_weights(folder))


def _scheduler(config: Mapping[str, Any]) -> SchedulerConfig:
    known = SchedulerConfig.__dataclass_fields__
    return SchedulerConfig(**{k: v for k, v in config.items() if k in known})


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; a DiTPipeline folder has it")
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error


def _read_weights(folder: Path) -> dict[str, Tensor]:
    safe, pickled = folder / "diffusion_pytorch_model.safetensors", folder / "diffusion_pytorch_model.bin"
    if safe.is_file():
        return load_file(safe)
    if pickled.is_file():
        return torch.load(pickled, map_location="cpu", weights_only=True, mmap=True)
    raise FileNotFoundError(f"{folder} has no diffusion_pytorch_model.safetensors (or .bin)")
