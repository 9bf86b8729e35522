# SPDX-License-Identifier: Apache-2.0
"""How far noise predictions and layer outputs are from the float model's, at the float model's own latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from hqdit_mobile.diffusion.conditions import halves
from hqdit_mobile.diffusion.plan import plan
from hqdit_mobile.diffusion.trajectory import initial_noise, trajectory
from hqdit_mobile.evaluate.protocol import noise_timesteps
from hqdit_mobile.evaluate.subjects import Subject, TorchSubject
from hqdit_mobile.model.network import Network


def reference_noise(subject: TorchSubject, seed: int, label: int) -> dict[str, np.ndarray]:
    """Of one float run at T timesteps: latents [T, C, S, S] and noise [T, 2, C, S, S] for the label, then for the null
    label; [T, 1, ...] where there is none."""
    model = subject.model
    kept = set(noise_timesteps([step.time for step in plan(model.process, subject.steps)]))
    start = initial_noise(model.latent_shape, seed).to(subject.device)
    labels = torch.tensor([label], device=subject.device)
    run = trajectory(subject.network, model.process, start, labels, subject.steps, subject.guidance_scale)
    visited = [(t, latents[0].cpu()) for t, latents, _ in run if t is not None and t in kept]
    noise = torch.stack([subject.noise(latents, t, label) for t, latents in visited])
    latents = torch.stack([latents for _, latents in visited])
    return {"timesteps": np.array([t for t, _ in visited]), "latents": latents.numpy(), "noise": noise.numpy()}


def noise_energies(
    reference: Network, subject: Subject, expected: dict[str, np.ndarray], label: int
) -> dict[str, np.ndarray]:
    """Energies (sums of squares) of one sample: signal and error [T] of the noise prediction, both guidance halves;
    and, where the candidate is a torch module, layer_signal and layer_error [layers, T] of its
    recipe_layers() in order."""
    signal, error, layer_energies = [], [], []
    for t, latents, noise in zip(*(expected[key] for key in ("timesteps", "latents", "noise")), strict=True):
        got = subject.noise(torch.from_numpy(latents), float(t), label).double().numpy()
        signal.append(np.square(noise.astype(np.float64)).sum())
        error.append(np.square(noise - got).sum())
        if subject.dit is not None:
            layer_energies.append(_layer_energies(reference, subject.dit, torch.from_numpy(latents), float(t), label))
    result = {"signal": np.array(signal), "error": np.array(error)}
    if layer_energies:
        result["layer_signal"], result["layer_error"] = np.array(layer_energies).transpose(1, 2, 0)
    return result


def _layer_energies(
    reference: Network, dit: Network, latents: Tensor, timestep: float, label: int
) -> list[list[float]]:
    expected, got = (_layer_outputs(model, latents, timestep, label) for model in (reference, dit))
    signal = [float(output.square().sum()) for output in expected.values()]
    return [signal, [float((got[name] - output).square().sum()) for name, output in expected.items()]]


@torch.no_grad()
def _layer_outputs(dit: Network, latents: Tensor, timestep: float, label: int) -> dict[str, Tensor]:
    device = next(dit.parameters()).device
    conditions = halves(dit.conditions, torch.tensor([label], device=device))
    count = len(conditions["label"])
    with _recorded(dit) as outputs:
        t = torch.full((count,), float(timestep), device=device)
        dit(latents.to(device).repeat(count, 1, 1, 1), t, *conditions.values())
    return outputs


@contextmanager
def _recorded(dit: Network) -> Iterator[dict[str, Tensor]]:
    outputs: dict[str, Tensor] = {}
    # Quantization may move means into the next bias (mean_folding.py), such as v's, which is no error.
    moved = [layer.mean for layer in dit.block_layers if layer.mean is not None]
    layers = dit.layers()

    def keep(name: str) -> Callable[[nn.Module, tuple, Tensor], None]:
        places = [place for source, place in moved if source == layers[name].name]
        width = min(places) * dit.config.hidden_size if places else None
        return lambda _module, _inputs, output: outputs.__setitem__(name, output[..., :width].double())

    handles = [dit.get_submodule(name).register_forward_hook(keep(name)) for name in dit.recipe_layers()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def decibels(signal: np.ndarray, error: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 10 * np.log10(signal / error)
