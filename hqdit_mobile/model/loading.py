# SPDX-License-Identifier: Apache-2.0
"""Loads a model by name: built in, a diffusers folder, a Hugging Face id, a facebookresearch checkpoint or random."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.diffusion.scheduler_config import process_from_scheduler
from hqdit_mobile.model.checkpoints import (
    CheckpointError,
    FloatState,
    config_from_diffusers,
    dit_from_diffusers,
    dit_from_facebook,
    dit_from_state,
)
from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.model.random_model import FORMS, RANDOM, VAE_CONFIG, RandomState, random_config
from hqdit_mobile.model.vae import VAEDecoder, random_vae_decoder, vae_decoder

BUILTIN = "builtin:"
WEIGHT_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
HUB_FILES = ["model_index.json", "transformer/*", "vae/*", "scheduler/*"]


@dataclass
class LoadedModel:
    """Everything an export needs of a model. ``labels[i]`` is the name of class ``i``."""

    name: str
    source: str
    licence: str
    dit: DiT
    vae: VAEDecoder
    process: Process
    labels: list[str]
    defaults: dict[str, Any] = field(default_factory=dict)
    train_counts: list[int] | None = None
    """Training images of each class, where the model says."""
    model_card: str = ""
    weight_files: list[Path] = field(default_factory=list)
    """What tells one checkpoint of this source from another."""
    notes: list[str] = field(default_factory=list)
    """What the export is to say of how the model was read."""

    @property
    def has_random_weights(self) -> bool:
        """It stands in for a model of its size and draws noise."""
        return self.source.startswith(RANDOM)

    @property
    def class_weights(self) -> list[int]:
        """How often each class is drawn where images of all are wanted: as in the training images, else all alike."""
        return self.train_counts or [1] * self.dit.config.num_classes

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        config = self.dit.config
        return config.in_channels, config.sample_size, config.sample_size

    @property
    def image_size(self) -> int:
        return self.dit.config.sample_size * self.vae.upscale

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, S, S] as the sampler leaves them -> images [B, 3, H, W] in about -1..1."""
        # One at a time: at 512 pixels the decoder's activations take a gigabyte an image.
        with torch.no_grad():
            return torch.cat([self.vae(one[None]) for one in latents / self.vae.scaling_factor])


def load_model(spec: str, vae: str | None = None, streamed: bool = False) -> LoadedModel:
    """Loads ``spec``, one of

    - ``builtin:emoji-dit``, the reference model that comes with this package;
    - a folder in diffusers' DiTPipeline layout (model_index.json, transformer/, vae/, scheduler/);
    - a facebookresearch ``DiT-*.pt`` checkpoint, with ``vae`` a folder that holds an AutoencoderKL;
    - a Hugging Face id such as ``facebook/DiT-XL-2-256`` (needs the network, or the files in its cache);
    - ``random:DiT-XL/2-256`` and its like: a published architecture with random weights (random_model.py).

    Args:
        spec: see above.
        vae: a folder with an AutoencoderKL in diffusers' layout, for a ``.pt`` checkpoint.
        streamed: the blocks of the DiT are read when they run and keep no weights (streaming.py).

    Returns:
        The float32 networks in evaluation mode, without gradients, and what is known of their training and classes.

    Raises:
        FileNotFoundError: a file is missing; the message names it.
        CheckpointError: a file cannot be read or is of a model that is not supported; the message names the field.
        ValueError: ``spec`` or ``vae`` makes no sense.
    """
    if spec.startswith(BUILTIN):
        return _load_builtin(spec.removeprefix(BUILTIN), streamed)
    if spec.startswith(RANDOM):
        return _load_random(spec, streamed)
    path = Path(spec)
    if path.suffix in (".pt", ".pth"):
        return _load_facebook(path, vae, streamed)
    if path.is_dir():
        return _load_folder(path, spec, "see the source model", streamed)
    if path.exists() or spec.count("/") != 1 or spec.startswith((".", "/", "~")):
        raise FileNotFoundError(
            f"no model at {spec!r}: give a DiTPipeline folder, a DiT-*.pt file, a Hugging Face id, {BUILTIN}emoji-dit "
            f"or {FORMS}"
        )
    return _load_hub(spec, streamed)


def builtin_models() -> list[str]:
    return ["emoji-dit"]


def builtin_classes(name: str) -> dict[str, int]:
    """The classes of a built-in model with their numbers of training images, without its weights."""
    config = _read_json(_builtin_folder(name) / "config.json")
    return dict(zip(config["labels"], config["train_counts"], strict=True))


def _builtin_folder(name: str) -> Path:
    return Path(__file__).parents[1] / "assets" / name.replace("-", "_")


def _load_builtin(name: str, streamed: bool) -> LoadedModel:
    if name not in builtin_models():
        raise ValueError(f"there is no built-in model {name!r}; built in: {', '.join(builtin_models())}")
    folder = _builtin_folder(name)
    config = _read_json(folder / "config.json")
    weights = folder / "transformer.safetensors"
    return LoadedModel(
        name=name,
        source=BUILTIN + name,
        licence=config["licence"],
        dit=dit_from_state(DiTConfig(**config["dit"]), FloatState(load_file(weights)), streamed),
        vae=vae_decoder(config["vae"], load_file(folder / "vae_decoder.safetensors")),
        process=Process.from_json(config["process"]),
        labels=config["labels"],
        defaults=config["defaults"],
        train_counts=config["train_counts"],
        model_card=(folder / "README.md").read_text(),
        weight_files=[weights],
    )


def _load_random(spec: str, streamed: bool) -> LoadedModel:
    config = random_config(spec)
    return LoadedModel(
        name=spec.removeprefix(RANDOM).replace("/", "-") + "-random",
        source=spec,
        licence="none: random weights",
        dit=dit_from_state(config, RandomState(config), streamed),
        vae=random_vae_decoder(VAE_CONFIG),
        process=Process(guided_channels=3),
        labels=[f"class {i}" for i in range(config.num_classes)],
        model_card="Random weights in the architecture of that name, to measure time, memory and size. It draws noise.",
    )


def _load_folder(folder: Path, source: str, licence: str, streamed: bool) -> LoadedModel:
    index = _read_json(folder / "model_index.json")
    names = {int(k): v for k, v in (index.get("id2label") or {}).items()}
    config = config_from_diffusers(_read_json(folder / "transformer" / "config.json"))
    weights = _weight_file(folder / "transformer")
    dit = dit_from_diffusers(config, _read_weights(weights), used_labels=len(names) or None, streamed=streamed)
    process, notes = _process(folder, index, config.in_channels)
    return LoadedModel(
        name=Path(source).name,
        source=source,
        licence=licence,
        dit=dit,
        vae=_load_vae(folder / "vae"),
        process=process,
        labels=[names.get(i, f"class {i}") for i in range(dit.config.num_classes)],
        weight_files=[weights, folder / "transformer" / "config.json"],
        notes=notes,
    )


def _load_hub(repo_id: str, streamed: bool) -> LoadedModel:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(repo_id, allow_patterns=HUB_FILES)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"could not get {repo_id!r} from the Hugging Face hub ({error}); download it first and give its folder"
        ) from error
    return _load_folder(Path(folder), repo_id, f"see the model card of {repo_id}", streamed)


def _load_facebook(path: Path, vae: str | None, streamed: bool) -> LoadedModel:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    if vae is None:
        raise ValueError(f"{path.name} holds the transformer only: give --vae FOLDER with an AutoencoderKL")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise CheckpointError(f"{path} is not a PyTorch checkpoint that can be loaded safely: {error}") from error
    dit = dit_from_facebook(state.get("ema", state), streamed)
    return LoadedModel(
        name=path.stem,
        source=str(path.name),
        licence="CC-BY-NC-4.0 (facebookresearch/DiT)",
        dit=dit,
        vae=_load_vae(Path(vae)),
        process=Process(guided_channels=min(3, dit.config.in_channels)),
        labels=[f"class {i}" for i in range(dit.config.num_classes)],
        weight_files=[path],
    )


def _load_vae(folder: Path) -> VAEDecoder:
    return vae_decoder(_read_json(folder / "config.json"), _read_weights(_weight_file(folder)))


def _process(folder: Path, index: Mapping[str, Any], channels: int) -> tuple[Process, list[str]]:
    """That of a DiTPipeline folder, which guides every channel, and notes on it."""
    entry = index.get("scheduler")
    named = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
    return process_from_scheduler(_read_json(folder / "scheduler" / "scheduler_config.json"), channels, named)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; a DiTPipeline folder has it")
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return content
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error


def _weight_file(folder: Path) -> Path:
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} has no {WEIGHT_FILES[0]} (or .bin)")


def _read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors that are the file's own pages, so that reading costs memory only where it happens."""
    if file.suffix == ".safetensors":
        return load_file(file)
    state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    return state
