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
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hqdit_mobile.diffusion.trajectory import initial_noise, trajectory
from hqdit_mobile.export.bundle.parity_parts import block_inputs
from hqdit_mobile.export.lowering.denoiser import Denoiser, widest_denoiser
from hqdit_mobile.model.dit import DiTBlock, DiTConfig
from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.quantize.quantized_block import layer_settings, quantized_block
from hqdit_mobile.runtime.manifest import BundleError
from hqdit_mobile.util.pictures import to_rgb

PROBE = Path("parity") / "probe.safetensors"


@dataclass(frozen=True)
class Step:
    """noise [2, C, S, S]: for the label, then for the null label; [1, ...] of a model without a null class."""

    timestep: float
    latents: Tensor
    noise: Tensor


@dataclass(frozen=True)
class Probe:
    block: DiTBlock
    tokens: Tensor  # [2, T, D], or [1, ...] as the noise
    condition: Tensor  # [2, D]
    steps: list[Step]
    label: int
    seed: int
    sampling_steps: int
    guidance_scale: float
    image: Tensor  # uint8 [H, W, 3]


def make_probe(
    model: LoadedModel,
    label: int,
    seed: int,
    sampling_steps: int,
    guidance_scale: float,
    on_step: Callable[[int, int], None] | None = None,
) -> Probe:
    """Draws one picture with the quantized torch model and keeps what the stages need, at its first, middle and last
    step; the block is the middle one, at the middle step."""
    dit, labels, noise = model.dit, torch.tensor([label]), initial_noise(model.latent_shape, seed)
    run = model.process, noise, labels, sampling_steps, guidance_scale
    visited = list(trajectory(Denoiser(dit, fused=True), *run, on_step))
    clean = visited[-1][1]
    walked = [(t, latents) for t, latents, _ in visited if t is not None]
    kept = dict([walked[0], walked[len(walked) // 2], walked[-1]])
    widest = widest_denoiser(dit, fused=True)
    with torch.no_grad():
        steps = [Step(t, x, widest(x, torch.tensor([t]), labels)) for t, x in kept.items()]
    middle, index = steps[len(steps) // 2], len(dit.blocks) // 2
    walk = block_inputs(dit, middle.latents, middle.timestep, label)
    tokens, condition = next(itertools.islice(walk, index, None))
    image = torch.from_numpy(to_rgb(model.decode(clean)[0]))
    block = cast(DiTBlock, dit.blocks[index])
    return Probe(block, tokens, condition, steps, label, seed, sampling_steps, guidance_scale, image)


def write_probe(folder: Path, config: DiTConfig, probe: Probe) -> None:
    """Writes ``probe`` into the bundle ``folder``."""
    described = {
        "dit": asdict(config),
        "layers": layer_settings(probe.block),
        "timesteps": [step.timestep for step in probe.steps],
        "label": probe.label,
        "seed": probe.seed,
        "sampling_steps": probe.sampling_steps,
        "guidance_scale": probe.guidance_scale,
    }
    tensors = {f"block.{name}": tensor for name, tensor in probe.block.state_dict().items()}
    tensors |= {"tokens": probe.tokens, "condition": probe.condition, "image": probe.image}
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
    block = quantized_block(DiTConfig(**described["dit"]), described["layers"], state)
    steps = [
        Step(t, tensors[f"step.{i}.latents"], tensors[f"step.{i}.noise"]) for i, t in enumerate(described["timesteps"])
    ]
    values = {name: described[name] for name in ("label", "seed", "sampling_steps", "guidance_scale")}
    return Probe(block, tensors["tokens"], tensors["condition"], steps, image=tensors["image"], **values)
