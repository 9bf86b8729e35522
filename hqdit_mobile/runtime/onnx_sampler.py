# SPDX-License-Identifier: Apache-2.0
"""The sampling loop of ONNX bundles: the engine's (export/sampler/src/pipeline.cpp), step for step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from hqdit_mobile.diffusion.process import Process
from hqdit_mobile.diffusion.rng import normal
from hqdit_mobile.runtime.errors import CancelledError
from hqdit_mobile.runtime.manifest import Manifest
from hqdit_mobile.runtime.results import Pictures, Progress, ProgressCallback
from hqdit_mobile.runtime.scheduler import Scheduler
from hqdit_mobile.util.pictures import project_preview, to_rgb
from hqdit_mobile.util.progress import peak_rss_bytes


class Networks(Protocol):
    """What a sampler needs of an open bundle (onnx_pipeline.py)."""

    manifest: Manifest
    latent_shape: tuple[int, int, int]
    process: Process

    def denoise(self, latents: np.ndarray, timestep: float, label: int, *, guided: bool) -> np.ndarray: ...

    def decode(self, latents: np.ndarray) -> np.ndarray: ...


class OnnxSampler:
    """The pictures of one generate_batch call, drawn one after the other. ``settings``: steps, scheduler, spacing,
    guidance_scale, guidance_interval. ``eta``: in single precision, as the engine's request holds it."""

    def __init__(
        self,
        pipeline: Networks,
        settings: Mapping[str, Any],
        eta: float,
        label: int,
        count: int,
        preview_interval: int,
        progress: ProgressCallback | None,
    ):
        self.pipeline, self.settings, self.eta, self.label = pipeline, settings, eta, label
        self.count, self.preview_interval, self.progress = count, preview_interval, progress
        self.images: list[np.ndarray] = []
        self.latents: list[np.ndarray] = []
        self.evaluations, self.denoise_ms, self.decode_ms = 0, 0.0, 0.0
        self.started = time.perf_counter()

    def draw(self, image: int, seed: int, latents: np.ndarray) -> None:
        pipeline, s = self.pipeline, self.settings
        scheduler = Scheduler(s["scheduler"], s["spacing"], s["steps"], self.eta, pipeline.process, latents.size)
        for index, (at, level) in enumerate(zip(scheduler.times, scheduler.noise_levels, strict=True)):
            began = time.perf_counter()
            guided = self._is_guided(level)
            prediction = self._predict(latents, at, guided)
            random = normal(seed, 1 + index, latents.size) if self.eta > 0 else None
            scheduler.step(index, prediction, latents, random)
            step_ms = 1e3 * (time.perf_counter() - began)
            self.denoise_ms += step_ms
            self.evaluations += 2 if guided else 1
            preview = self._preview(scheduler, index + 1)
            self._report("step", image, scheduler, index, guided, step_ms, preview)
        self._report("decode", image, scheduler, index, guided, step_ms, None)
        began = time.perf_counter()
        self.images.append(to_rgb(pipeline.decode(latents)))
        self.latents.append(latents)
        self.decode_ms += 1e3 * (time.perf_counter() - began)

    def result(self) -> Pictures:
        times = (self.denoise_ms, self.decode_ms, 1e3 * (time.perf_counter() - self.started))
        return Pictures(np.stack(self.images), np.stack(self.latents), self.evaluations, *times, peak_rss_bytes())

    def _is_guided(self, noise_level: float) -> bool:
        low, high = (np.float32(bound) for bound in self.settings["guidance_interval"])
        return self.settings["guidance_scale"] != 1 and bool(low <= np.float32(noise_level) <= high)

    def _predict(self, latents: np.ndarray, at: float, guided: bool) -> np.ndarray:
        halves = self.pipeline.denoise(latents, at, self.label, guided=guided)
        prediction: np.ndarray = halves[0].copy()
        if guided:
            channels = self.pipeline.process.guided_channels
            unconditional = halves[1, :channels]
            prediction[:channels] = unconditional + np.float32(self.settings["guidance_scale"]) * (
                halves[0, :channels] - unconditional
            )
        return prediction

    def _preview(self, scheduler: Scheduler, step: int) -> np.ndarray | None:
        interval = self.preview_interval
        if not interval or (step % interval and step != len(scheduler.timesteps)):
            return None
        clean = scheduler.clean().reshape(self.pipeline.latent_shape)
        assert self.pipeline.manifest.preview is not None, "generate_batch refuses previews without a projection"
        return project_preview(self.pipeline.manifest.preview, clean)

    def _report(
        self,
        phase: str,
        image: int,
        scheduler: Scheduler,
        index: int,
        guided: bool,
        step_ms: float,
        preview: np.ndarray | None,
    ) -> None:
        if self.progress is None:
            return
        update = Progress(
            phase=phase,
            image_index=image,
            image_count=self.count,
            step=index + 1,
            step_count=len(scheduler.timesteps),
            timestep=scheduler.timesteps[index],
            guided=guided,
            step_ms=step_ms,
            elapsed_ms=1e3 * (time.perf_counter() - self.started),
            peak_memory_bytes=peak_rss_bytes(),
            preview=preview,
            time=scheduler.times[index],
            noise_level=scheduler.noise_levels[index],
        )
        if self.progress(update) is False:
            raise CancelledError("cancelled by the progress callback")
