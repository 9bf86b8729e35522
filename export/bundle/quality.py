# SPDX-License-Identifier: Apache-2.0
"""What quantization did to the pictures: the bundle's images and noise predictions against the float model's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hqdit_mobile.diffusion.noise_error import eps_snr_db
from hqdit_mobile.diffusion.trajectory import IN_ENGINE, initial_noise, trajectory
from hqdit_mobile.export.bundle.budget import Effort
from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.model.network import Network
from hqdit_mobile.runtime.open_bundle import open_bundle
from hqdit_mobile.util.metrics import psnr_db
from hqdit_mobile.util.pictures import to_rgb
from hqdit_mobile.util.progress import Stages


@dataclass(frozen=True)
class Quality:
    """``eps_snr_db`` maps a time to the SNR of the network's prediction at the float model's latents (metrics.py).
    ``draw_ms``: what each of ``images`` took the exporting machine, in ``steps`` steps with the decoding."""

    labels: list[str]
    float_images: list[np.ndarray]
    images: list[np.ndarray]
    draw_ms: list[float]
    steps: int
    eps_snr_db: dict[float, float]

    @property
    def median_draw_ms(self) -> float:
        return float(np.median(self.draw_ms))

    @property
    def mean_eps_snr_db(self) -> float:
        return float(np.mean(list(self.eps_snr_db.values())))

    @property
    def mean_psnr_db(self) -> float:
        return float(np.mean([psnr_db(a, b) for a, b in zip(self.float_images, self.images, strict=True)]))

    def grid(self) -> np.ndarray:
        """Float images above, the bundle's below: one column a label."""
        return np.concatenate([np.concatenate(row, axis=1) for row in (self.float_images, self.images)], axis=0)

    def to_json(self) -> dict[str, Any]:
        return {
            "images": len(self.images),
            "psnr_to_float_db": round(self.mean_psnr_db, 2),
            "eps_snr_db": {f"{t:g}": round(v, 2) for t, v in self.eps_snr_db.items()},
            "mean_eps_snr_db": round(self.mean_eps_snr_db, 2),
        }


def compare_with_float(
    bundle: Path,
    model: LoadedModel,
    float_dit: Network,
    labels: list[int],
    effort: Effort,
    guidance_scale: float,
    stages: Stages,
) -> Quality:
    """Draws one image per label (seed = position) with the float torch model and with the bundle's engine.

    ``stages``: gets one stage, whose pieces are the steps of both comparisons and the bundle's pictures.
    """
    stages.begin("Compare with the float model", 2 * effort.steps + len(labels))
    noise = torch.cat([initial_noise(model.latent_shape, seed) for seed in range(len(labels))])
    classes = torch.tensor(labels)
    runs = model.process, noise, classes, effort.steps, guidance_scale
    walked = list(trajectory(float_dit, *runs, lambda *_: stages.advance()))
    few = slice(0, effort.noise_images)
    snr: dict[float, float] = {}
    for t, x, _ in walked:
        if t is not None:
            snr |= eps_snr_db(float_dit, model.dit, [(t, x[few])], classes[few])
            stages.advance()
    latents = walked[-1][1]
    float_images = list(to_rgb(model.decode(latents)))
    with open_bundle(bundle) as pipeline:
        settings: dict[str, Any] = IN_ENGINE | {"steps": effort.steps, "guidance_scale": guidance_scale}
        drawn = []
        for seed, label in enumerate(labels):
            drawn.append(pipeline.generate_batch(label, [seed], **settings))
            stages.advance()
    images, times = [pictures.images[0] for pictures in drawn], [pictures.total_ms for pictures in drawn]
    return Quality([model.labels[i] for i in labels], float_images, images, times, effort.steps, snr)
