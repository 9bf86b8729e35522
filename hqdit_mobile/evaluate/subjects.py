# SPDX-License-Identifier: Apache-2.0
"""An opened candidate: draws images, predicts noise, and knows its size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hqdit_mobile.diffusion.conditions import halves
from hqdit_mobile.diffusion.trajectory import IN_ENGINE, initial_noise, sample_latents
from hqdit_mobile.evaluate.digests import state_digest
from hqdit_mobile.export.lowering.denoiser import Denoiser
from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.model.network import Network
from hqdit_mobile.quantize.weight_cost import a4_share, weight_bits
from hqdit_mobile.runtime.manifest import Manifest
from hqdit_mobile.runtime.open_bundle import open_bundle
from hqdit_mobile.util.pictures import to_rgb

CPU_BATCH, GPU_BATCH = 4, 32  # images at a time: on a CPU, more of them fall out of its cache


@dataclass(frozen=True)
class Facts:
    """weight_bits, a4_share: as in weight_cost.py; megabytes: of the transformer, 10^6 bytes."""

    weight_bits: float
    a4_share: float
    megabytes: float
    runtime: str


class Subject(Protocol):
    @property
    def dit(self) -> Network | None:
        """The torch module, if there is one to look into."""

    def digest(self) -> str:
        """Changes when the weights do."""

    def facts(self) -> Facts: ...

    def draw(self, seeds: Sequence[int], labels: Sequence[int], on_images: Callable[[int], None]) -> np.ndarray:
        """uint8 [n, H, W, 3]."""

    def noise(self, latents: Tensor, timestep: float, label: int) -> Tensor:
        """Latents [C, S, S] -> noise [2, C, S, S], for the label and the null label; [1, ...] where there is none."""

    def close(self) -> None: ...


class TorchSubject:
    """The float model, or a quantized one, in torch: on a CPU by our kernels, with the bits of a phone, on a GPU by the
    definitions of the same operators."""

    def __init__(self, model: LoadedModel, dit: Network, steps: int, guidance_scale: float):
        self.model, self.steps, self.guidance_scale = model, steps, guidance_scale
        self.device = next(model.dit.parameters()).device
        self.dit: Network = dit.to(self.device)
        self.network = Denoiser(self.dit, fused=True)
        self.batch = CPU_BATCH if self.device.type == "cpu" else GPU_BATCH

    def digest(self) -> str:
        return state_digest(self.dit)

    def facts(self) -> Facts:
        stored = sum(t.numel() * t.element_size() for t in self.dit.state_dict().values())
        return Facts(weight_bits(self.dit), a4_share(self.dit), stored / 1e6, f"torch, {self.device.type}")

    def draw(self, seeds: Sequence[int], labels: Sequence[int], on_images: Callable[[int], None]) -> np.ndarray:
        images = []
        for start in range(0, len(seeds), self.batch):
            rows = slice(start, start + self.batch)
            noise = torch.cat([initial_noise(self.model.latent_shape, seed) for seed in seeds[rows]]).to(self.device)
            label = torch.tensor(labels[rows], device=self.device)
            latents = sample_latents(self.network, self.model.process, noise, label, self.steps, self.guidance_scale)
            images.append(to_rgb(self.model.decode(latents).cpu()))
            on_images(len(noise))
        return np.concatenate(images)

    @torch.no_grad()
    def noise(self, latents: Tensor, timestep: float, label: int) -> Tensor:
        conditions = halves(self.dit.conditions, torch.tensor([label], device=self.device))
        count = len(conditions["label"])
        t = torch.full((count,), float(timestep), device=self.device)
        return self.network(latents.to(self.device).repeat(count, 1, 1, 1), t, *conditions.values()).cpu()

    def close(self) -> None:
        pass


class BundleSubject:
    """A bundle in its own runtime."""

    dit = None

    def __init__(self, folder: Path, manifest: Manifest, steps: int, guidance_scale: float):
        self.folder, self.manifest, self.steps, self.guidance_scale = folder, manifest, steps, guidance_scale
        self.pipeline = open_bundle(folder)

    def digest(self) -> str:
        return ",".join(entry.sha256 for _, entry in sorted(self.manifest.files.items()))

    def facts(self) -> Facts:
        _, about = self.manifest.made_from(self.folder)
        files = self.manifest.files.items()
        stored = sum(entry.bytes for name, entry in files if name.startswith("transformer"))
        return Facts(about.bits_per_weight, about.a4_share or 0.0, stored / 1e6, self.manifest.runtime)

    def draw(self, seeds: Sequence[int], labels: Sequence[int], on_images: Callable[[int], None]) -> np.ndarray:
        images = []
        settings = IN_ENGINE | {"steps": self.steps, "guidance_scale": self.guidance_scale}
        for seed, label in zip(seeds, labels, strict=True):
            images.append(self.pipeline.generate(label, seed=seed, **settings))
            on_images(1)
        return np.stack(images)

    def noise(self, latents: Tensor, timestep: float, label: int) -> Tensor:
        guided = self.pipeline.null_label is not None
        return torch.from_numpy(self.pipeline.denoise(latents.numpy(), timestep, label, guided=guided))

    def close(self) -> None:
        self.pipeline.close()
