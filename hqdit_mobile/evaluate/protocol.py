# SPDX-License-Identifier: Apache-2.0
"""Which images are drawn: the same for every candidate, so that they pair up one to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hqdit_mobile.diffusion.rng import philox4x32

LABEL_KEY = (0x6C61626C, 0x65766C61)  # apart from the keys that seeds below 2^32 make for initial noise
CHUNK = 32  # images in a file: what a killed run loses at most
NOISE_TIMESTEPS = 8
USUAL_GUIDANCE = 2.5


@dataclass(frozen=True)
class Protocol:
    """Image i has seed i and a class drawn for i alone, so a larger ``samples`` extends a smaller one.

    Attributes:
        samples: images of each candidate.
        steps: denoising steps of each, with DDIM.
        guidance_scale: 1 is no guidance.
        noise_samples: the first so many images are those whose noise predictions are compared.

    Raises:
        ValueError: a number is too small or too large; the message names it.
    """

    samples: int
    steps: int = 20
    guidance_scale: float = USUAL_GUIDANCE
    noise_samples: int = 16

    def __post_init__(self) -> None:
        for field in ("samples", "steps", "noise_samples"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, not {getattr(self, field)}")
        if self.noise_samples > self.samples:
            raise ValueError(f"noise_samples is {self.noise_samples}, more than the {self.samples} samples")


@dataclass(frozen=True)
class Chunk:
    """Images start .. stop - 1, drawn and stored together."""

    start: int
    stop: int

    @property
    def seeds(self) -> range:
        return range(self.start, self.stop)


def chunks(samples: int) -> list[Chunk]:
    return [Chunk(start, min(start + CHUNK, samples)) for start in range(0, samples, CHUNK)]


def classes_of(seeds: range, weights: Sequence[int]) -> list[int]:
    """The class of each image, by a word of Philox4x32 each; class c is drawn with probability weights[c] / sum."""
    counter = np.zeros((len(seeds), 4), dtype=np.uint64)
    counter[:, 0] = seeds
    words = philox4x32(counter, LABEL_KEY)[:, 0].astype(np.uint64)
    ends = np.cumsum(np.array(weights, dtype=np.uint64))
    drawn: list[int] = np.searchsorted(ends, words * ends[-1] >> np.uint64(32), side="right").tolist()
    return drawn


def noise_timesteps(timesteps: list[float]) -> list[float]:
    """Up to NOISE_TIMESTEPS of a run's timesteps, evenly spread, with the first and the last."""
    picked = np.linspace(0, len(timesteps) - 1, min(NOISE_TIMESTEPS, len(timesteps))).round().astype(int)
    return [timesteps[i] for i in picked]
