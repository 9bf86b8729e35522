# SPDX-License-Identifier: Apache-2.0
"""A bundle's own evidence for ``hqdit parity``: real inputs and what the quantized torch model made of them.

``parity/probe.safetensors`` holds one whole block (its 4-bit weights, tokens and condition from the middle of a
trajectory), latents and noise of three steps, and one picture. It weighs about as much as that block, and with it every
runtime can be compared on a machine that has neither the float model nor the calibration.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import Conditions, named
from hqdit_mobile.diffusion.trajectory import initial_noise, trajectory
from hqdit_mobile.export.bundle.parity_parts import guided_walk
from hqdit_mobile.export.lowering.denoiser import Denoiser, widest_denoiser
from hqdit_mobile.model.family import FAMILIES
from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.quantize.calibration import CONDITION, conditions_in
from hqdit_mobile.quantize.quantized_block import layer_settings, quantized_block
from hqdit_mobile.runtime.manifest import BundleError
from hqdit_mobile.util.pictures import to_rgb

PROBE = Path("parity") / "probe.safetensors"


@dataclass(frozen=True)
class Step:
    """noise [2, C, S, S]: for the conditions, then for their null values; [1, ...] of a model without."""

    timestep: float
    latents: Tensor
    noise: Tensor


@dataclass(frozen=True)
class Probe:
    block: nn.Module
    tokens: Tensor  # [2, T, D], or [1, ...] as the noise
    context: Tensor  # [2, D]
    steps: list[Step]
    conditions: dict[str, Tensor]  # [1, ...] each
    seed: int
    sampling_steps: int
    guidance_scale: float
    image: Tensor  # uint8 [H, W, 3]

    @property
    def label(self) -> int:
        """What engines, which know classes alone, are asked for."""
        return int(self.conditions["label"])


def make_probe(
    model: LoadedModel,
    conditions: Tensor | Conditions,
    seed: int,
    sampling_steps: int,
    guidance_scale: float,
    on_step: Callable[[int, int], None] | None = None,
) -> Probe:
    """Draws one picture with the quantized torch model and keeps what the stages need, at its first, middle and last
    step; the block is the middle one, at the middle step."""
    dit, noise = model.dit, initial_noise(model.latent_shape, seed)
    given = named(dit.conditions, conditions)
    run = model.process, noise, given, sampling_steps, guidance_scale
    visited = list(trajectory(Denoiser(dit, fused=True), *run, on_step))
    clean = visited[-1][1]
    walked = [(t, latents) for t, latents, _ in visited if t is not None]
    kept = dict([walked[0], walked[len(walked) // 2], walked[-1]])
    widest = widest_denoiser(dit, fused=True)
    with torch.no_grad():
        steps = [Step(t, x, widest(x, torch.tensor([t]), *given.values())) for t, x in kept.items()]
    middle, index = steps[len(steps) // 2], len(dit.blocks) // 2
    walk = guided_walk(dit, middle.latents, middle.timestep, given)
    visit = next(itertools.islice(walk, index, None))
    image = torch.from_numpy(to_rgb(model.decode(clean)[0]))
    return Probe(visit.block, visit.tokens, visit.context, steps, given, seed, sampling_steps, guidance_scale, image)


def write_probe(folder: Path, model: LoadedModel, probe: Probe) -> None:
    """Writes ``probe`` of ``model`` into the bundle ``folder``."""
    described = {
        "family": model.family.name,
        "config": asdict(model.dit.config),
        "layers": layer_settings(probe.block),
        "timesteps": [step.timestep for step in probe.steps],
        "seed": probe.seed,
        "sampling_steps": probe.sampling_steps,
        "guidance_scale": probe.guidance_scale,
    }
    tensors = {f"block.{name}": tensor for name, tensor in probe.block.state_dict().items()}
    tensors |= {"tokens": probe.tokens, "context": probe.context, "image": probe.image}
    tensors |= {f"{CONDITION}{name}": value for name, value in probe.conditions.items()}
    for i, step in enumerate(probe.steps):
        tensors |= {f"step.{i}.latents": step.latents, f"step.{i}.noise": step.noise}
    path = folder / PROBE
    path.parent.mkdir()
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata={"probe": json.dumps(described)})


def read_probe(folder: Path) -> Probe:
    """Reads the probe of a bundle; raises BundleError if it is missing or damaged."""
    path = folder / PROBE
    if not path.is_file():
        raise BundleError(f"{path} is missing: the bundle was copied without its parity folder, or made by a release "
                          "that wrote none; export it again")  # fmt: skip
    try:
        with safe_open(path, "pt") as file:
            described = json.loads(file.metadata()["probe"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        return _probe(described, tensors)
    except (SafetensorError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        raise BundleError(f"{path} is damaged ({error}); copy the bundle again or export it again") from error


def _probe(described: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Probe:
    state = {k.removeprefix("block."): v for k, v in tensors.items() if k.startswith("block.")}
    if "dit" in described:  # the form of version 0.1
        described = {**described, "family": "dit", "config": described["dit"]}
        label = torch.tensor([described["label"]])
        tensors = {**tensors, "context": tensors["condition"], f"{CONDITION}label": label}
    family = FAMILIES[described["family"]]
    block = quantized_block(
        partial(family.network.new_block, family.config(**described["config"])), described["layers"], state
    )
    steps = [
        Step(t, tensors[f"step.{i}.latents"], tensors[f"step.{i}.noise"]) for i, t in enumerate(described["timesteps"])
    ]
    values = {name: described[name] for name in ("seed", "sampling_steps", "guidance_scale")}
    conditions = conditions_in(tensors)
    return Probe(block, tensors["tokens"], tensors["context"], steps, conditions, image=tensors["image"], **values)
