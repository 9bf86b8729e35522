# SPDX-License-Identifier: Apache-2.0
"""What drawing gives: reports on the way, pictures, and the memory that it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Progress:
    """What the callback gets after every denoising step and before a decode.

    Attributes:
        phase: "step" or "decode".
        image_index: of the picture, from 0.
        image_count: pictures of this call.
        step: steps done of this picture, from 1.
        step_count: steps of a picture.
        timestep: of the step just done, in training timesteps: 0 for data.
        guided: whether the step was guided.
        step_ms: what the step took, in milliseconds.
        elapsed_ms: since the call began, in milliseconds.
        peak_memory_bytes: the most that the process has held so far.
        preview: uint8 [h, w, 3] at the latent's size, where one was asked for.
        time: what the network was given for the timestep.
        noise_level: 0 (data) to 1 (noise).
    """

    phase: str
    image_index: int
    image_count: int
    step: int
    step_count: int
    timestep: int
    guided: bool
    step_ms: float
    elapsed_ms: float
    peak_memory_bytes: int
    preview: np.ndarray | None
    time: float
    noise_level: float


@dataclass(frozen=True)
class Pictures:
    """The result of ``generate_batch`` for n seeds.

    Attributes:
        images: uint8 [n, H, W, 3].
        latents: float32 [n, C, h, w], clean, before the division by the VAE's scaling factor.
        evaluations: of the network; a guided step counts 2.
        denoise_ms: milliseconds in the denoising steps.
        decode_ms: milliseconds in the image decoder.
        total_ms: milliseconds of the call.
        peak_memory_bytes: the most that the process has held so far.
    """

    images: np.ndarray
    latents: np.ndarray
    evaluations: int
    denoise_ms: float
    decode_ms: float
    total_ms: float
    peak_memory_bytes: int


@dataclass(frozen=True)
class MemoryEstimate:
    """What drawing one picture needs, in bytes.

    Attributes:
        weights_bytes: constant data of all model files.
        arena_bytes: activations: planned buffers and scratch.
        peak_bytes: the most that the process grows by, measured at export.
        file_bytes: the model files on the disk.
        tiled_peak_bytes: as ``peak_bytes``, with the picture decoded in tiles; 0 for a bundle without.
    """

    weights_bytes: int
    arena_bytes: int
    peak_bytes: int
    file_bytes: int
    tiled_peak_bytes: int


ProgressCallback = Callable[[Progress], Any]
