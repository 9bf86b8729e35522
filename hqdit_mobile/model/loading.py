# SPDX-License-Identifier: Apache-2.0
"""Loads a model by name: built in, a diffusers folder, a Hugging Face id, a facebookresearch checkpoint or random."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hqdit_mobile.diffusion.conditions import NO_NULL_CLASS
from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.diffusion.scheduler_config import process_from_scheduler
from hqdit_mobile.model.checkpoints.build import dit_from_state
from hqdit_mobile.model.checkpoints.diffusers import config_from_diffusers, dit_from_diffusers
from hqdit_mobile.model.checkpoints.diffusers_source import DiffusersSource
from hqdit_mobile.model.checkpoints.facebook import Source
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.model.checkpoints.hub import hub_folder, is_hub_id
from hqdit_mobile.model.checkpoints.lora import merge_lora
from hqdit_mobile.model.checkpoints.reading import (
    CheckpointError,
    naming,
    one_line,
    read_component,
    read_json,
    read_safetensors,
    read_torch,
    weight_files,
)
from hqdit_mobile.model.checkpoints.states import FloatState
from hqdit_mobile.model.checkpoints.vae_files import FORMS as VAE_FORMS
from hqdit_mobile.model.checkpoints.vae_files import read_vae
from hqdit_mobile.model.checkpoints.wrappers import unwrap
from hqdit_mobile.model.dit import DiTConfig
from hqdit_mobile.model.family import FAMILIES, ModelFamily, family_of, read_network
from hqdit_mobile.model.network import Network
from hqdit_mobile.model.random_model import FORMS, RANDOM, VAE_CONFIG, RandomState, random_config
from hqdit_mobile.model.vae import VAEDecoder, pixel_decoder, random_vae_decoder, vae_decoder
from hqdit_mobile.util.texts import controls_in

BUILTIN = "builtin:"
NO_VAE = "none"
CHECKPOINTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
HUB_FILES = ["model_index.json", "transformer/*", "vae/*", "scheduler/*"]


@dataclass
class LoadedModel:
    """Everything an export needs of a model.

    Attributes:
        name: of the bundle that will be made of it.
        source: what ``load_model`` was given.
        licence: of the weights.
        dit: the float32 transformer.
        vae: the float32 image decoder, or what stands in for it in a model of pixels.
        process: what the transformer was trained to undo.
        labels: the name of each class, by its number.
        family: which network it is, and how checkpoints of it are read.
        defaults: what the model says of how it is drawn.
        train_counts: training images of each class, where the model says.
        model_card: Markdown.
        weight_files: what tells one checkpoint of this source from another.
        notes: what the loader chose or changed, for the user to read.
        diffusers: the same network as diffusers builds it, to check the loader with, where the source is a folder of
            diffusers.
    """

    name: str
    source: str
    licence: str
    dit: Network
    vae: VAEDecoder
    process: Process
    labels: list[str]
    family: ModelFamily = FAMILIES["dit"]
    defaults: dict[str, Any] = field(default_factory=dict)
    train_counts: list[int] | None = None
    model_card: str = ""
    weight_files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    diffusers: DiffusersSource | None = None

    @property
    def has_random_weights(self) -> bool:
        """Whether it stands in for a model of its size and draws noise."""
        return self.source.startswith(RANDOM)

    @property
    def class_weights(self) -> list[int]:
        """How often each class is drawn where images of all are wanted: as in the training images, else all alike."""
        return self.train_counts or [1] * self.dit.config.num_classes

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """[C, S, S]: what the transformer denoises."""
        config = self.dit.config
        return config.in_channels, config.sample_size, config.sample_size

    @property
    def image_size(self) -> int:
        """Height and width of a picture in pixels."""
        size: int = self.dit.config.sample_size
        return size * self.vae.upscale

    def guidance(self, asked: float | None, usual: float, interval: tuple[float, float] = (0.0, 1.0)) -> float:
        """The guidance scale to draw with.

        Args:
            asked: what the user wants; None for nothing in particular.
            usual: what is taken then, where there is a null class.
            interval: noise levels, within 0 to 1, between which guidance is to be on.

        Returns:
            ``asked`` or ``usual``; 1 where there is no null class.

        Raises:
            ValueError: there is no null class, and ``asked`` or ``interval`` want guidance.
        """
        if self.dit.null_label is not None:
            return usual if asked is None else asked
        if asked not in (None, 1) or interval != (0, 1):
            raise ValueError(
                f"{NO_NULL_CLASS} (docs/checkpoints.md): leave out the guidance scale or give 1, and leave out the "
                "guidance interval"
            )
        return 1.0

    def decode(self, latents: Tensor) -> Tensor:
        """Runs the image decoder, one picture after the other.

        Args:
            latents: float32 [B, C, S, S] as the sampler leaves them, not yet divided by the VAE's scaling factor.

        Returns:
            float32 [B, 3, H, W] in about -1 to 1.

        Raises:
            RuntimeError: torch's, if the shape does not fit.
        """
        # One at a time: at 512 pixels the decoder's activations take a gigabyte an image.
        with torch.no_grad():
            return torch.cat([self.vae(one[None]) for one in latents / self.vae.scaling_factor])


def load_model(spec: str, vae: str | None = None, streamed: bool = False, given: Given | None = None) -> LoadedModel:
    """Loads ``spec``, one of

    - ``builtin:emoji-dit``, the reference model that comes with this package;
    - a folder in diffusers' DiTPipeline layout (model_index.json, transformer/, vae/, scheduler/);
    - a checkpoint in facebookresearch's names, such as ``DiT-*.pt`` or one of its training script, with ``vae``;
    - a Hugging Face id such as ``facebook/DiT-XL-2-256`` (needs the network, or the files in its cache);
    - ``random:DiT-XL/2-256`` and its like: a published architecture with random weights (random_model.py).

    Args:
        spec: see above.
        vae: a folder, file or Hugging Face id of a VAE, in place of the folder's own if that has one; "none" for
            models of pixels.
        streamed: the blocks of the DiT are read when they run and keep no weights (streaming.py).
        given: what a checkpoint does not say itself.

    Returns:
        The float32 networks in evaluation mode, without gradients, and what is known of their training and classes.

    Raises:
        FileNotFoundError: a file is missing; the message names it.
        CheckpointError: a file cannot be read or is of a model that is not supported; the message names the field.
        ValueError: ``spec`` or ``vae`` makes no sense.
    """
    given = given or Given()
    if spec.startswith((BUILTIN, RANDOM)):
        _refuse_given(spec, vae, given)
        return (
            _load_builtin(spec.removeprefix(BUILTIN), streamed)
            if spec.startswith(BUILTIN)
            else _load_random(spec, streamed)
        )
    path = Path(spec).expanduser()
    if path.suffix in CHECKPOINTS and not path.is_dir():
        return _load_facebook(path, vae, streamed, given)
    if path.is_dir():
        return _load_folder(path, spec, "see the source model", vae, streamed, given)
    if path.exists() or not is_hub_id(spec):
        raise FileNotFoundError(
            f"no model at {one_line(repr(spec))}: give a DiTPipeline folder, a DiT-*.pt file, a Hugging Face id, "
            f"{BUILTIN}emoji-dit or {FORMS}"
        )
    folder = hub_folder(spec, HUB_FILES)
    return _load_folder(folder, spec, f"see the model card of {spec}", vae, streamed, given)


def _refuse_given(spec: str, vae: str | None, given: Given) -> None:
    if vae is not None or given != Given():
        raise ValueError(
            f"{spec} says everything itself: leave out --vae, --family, --num-heads, --num-classes, --licence"
        )


def builtin_models() -> list[str]:
    return ["emoji-dit"]


def builtin_classes(name: str) -> dict[str, int]:
    """The classes of a built-in model with their numbers of training images, without its weights."""
    config = read_json(_builtin_folder(name) / "config.json")
    return dict(zip(config["labels"], config["train_counts"], strict=True))


def _builtin_folder(name: str) -> Path:
    return Path(__file__).parents[1] / "assets" / name.replace("-", "_")


def _load_builtin(name: str, streamed: bool) -> LoadedModel:
    if name not in builtin_models():
        raise ValueError(f"there is no built-in model {name!r}; built in: {', '.join(builtin_models())}")
    folder = _builtin_folder(name)
    config = read_json(folder / "config.json")
    weights = folder / "transformer.safetensors"
    return LoadedModel(
        name=name,
        source=BUILTIN + name,
        licence=config["licence"],
        dit=dit_from_state(DiTConfig(**config["dit"]), FloatState(read_safetensors(weights)), streamed),
        vae=vae_decoder(config["vae"], read_safetensors(folder / "vae_decoder.safetensors")),
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


def _load_folder(folder: Path, source: str, licence: str, vae: str | None, streamed: bool, given: Given) -> LoadedModel:
    if given.family not in (None, "dit"):
        raise CheckpointError(f"{folder} is a DiTPipeline folder, so its family is dit, not {given.family}")
    names = _labels(folder / "model_index.json")
    config_file = folder / "transformer" / "config.json"
    described = read_json(config_file)
    config = config_from_diffusers(described)
    for option, said in (("num_heads", config.num_heads), ("num_classes", config.num_classes)):
        if getattr(given, option) not in (None, said):
            raise CheckpointError(f"--{option.replace('_', '-')} {getattr(given, option)}: {config_file} says {said}")
    if names and max(names) >= config.num_classes:
        raise CheckpointError(
            f"{folder / 'model_index.json'}: id2label names class {max(names)}, the network has {config.num_classes}"
        )
    weights, notes = weight_files(folder / "transformer"), list[str]()
    with_lora = merge_lora(read_component(folder / "transformer"), weights[0], notes)
    dit = dit_from_diffusers(config, with_lora, notes, used_labels=len(names) or None, streamed=streamed)
    process, process_notes = _process(folder, config.in_channels)
    return _checked(
        LoadedModel(
            name=folder.resolve().name if folder == Path(source) else Path(source).name,
            source=source,
            licence=given.licence or licence,
            dit=dit,
            vae=_vae_for(dit, str(folder / "vae") if vae is None else vae),
            process=process,
            labels=[names.get(i, f"class {i}") for i in range(dit.config.num_classes)],
            weight_files=[*weights, config_file],
            notes=[*notes, *process_notes],
            diffusers=DiffusersSource(described, with_lora),
        )
    )


def _labels(file: Path) -> dict[int, str]:
    labels = read_json(file).get("id2label")
    if labels is None:
        return {}
    good = isinstance(labels, dict) and all(
        key.isascii() and key.isdigit() and isinstance(text, str) and text for key, text in labels.items()
    )
    if not good:
        raise CheckpointError(f'{file}: id2label must map numbers to names, such as {{"0": "tench", "1": "goldfish"}}')
    if fault := controls_in({f"id2label {key}": text for key, text in labels.items()}):
        raise CheckpointError(f"{file}: {fault}: give the class a name that can be shown")
    return {int(key): text for key, text in labels.items()}


def _load_facebook(path: Path, vae: str | None, streamed: bool, given: Given) -> LoadedModel:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    if vae is None:
        raise ValueError(f"{path.name} holds the transformer only: give --vae with {VAE_FORMS}")
    unwrapped = unwrap(read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path), path)
    notes = unwrapped.notes
    source = Source(path, merge_lora(unwrapped.state, path, notes), unwrapped.arguments, given, notes)
    with naming(path):
        dit = read_network(source, streamed)
        family = family_of(source)
    model = LoadedModel(
        name=path.stem,
        source=str(path.name),
        licence=given.licence or "unknown: see the source of the checkpoint",
        dit=dit,
        vae=_vae_for(dit, vae),
        process=family.process(source),
        family=family,
        labels=[f"class {i}" for i in range(dit.config.num_classes)],
        weight_files=[path],
        notes=notes,
    )
    for name in ("image_size", "resolution"):
        if unwrapped.arguments.get(name) not in (None, model.image_size):
            raise CheckpointError(
                f"{path.name} was trained for images of {unwrapped.arguments[name]} pixels, as its argument {name!r} "
                f"says, and with --vae {vae} it would draw {model.image_size}"
            )
    return _checked(model)


def _vae_for(dit: Network, vae: str) -> VAEDecoder:
    return pixel_decoder(dit.config.in_channels) if vae == NO_VAE else read_vae(vae)


def _checked(model: LoadedModel) -> LoadedModel:
    """Raises CheckpointError where transformer and decoder do not fit together."""
    channels = model.dit.config.in_channels
    if model.vae.kind == "pixels" and channels != 3:
        raise CheckpointError(f"without a VAE a model must draw 3 channels, not {channels}: give its VAE")
    if model.vae.latent_channels != channels:
        raise CheckpointError(
            f"the transformer draws latents of {channels} channels, and the VAE takes {model.vae.latent_channels}: "
            "give the VAE that it was trained with"
        )
    return model


def _process(folder: Path, channels: int) -> tuple[Process, list[str]]:
    """That of a DiTPipeline folder, which guides every channel, and notes on it."""
    entry = read_json(folder / "model_index.json").get("scheduler")
    named = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
    return process_from_scheduler(read_json(folder / "scheduler" / "scheduler_config.json"), channels, named)
