# SPDX-License-Identifier: Apache-2.0
"""One denoising step, and the whole image, of a model in every runtime."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hqdit_mobile.bench import peers_onnxruntime
from hqdit_mobile.bench.prepare import OUR_ONNX, OUR_PTE, OURS, TORCH, Prepared
from hqdit_mobile.bench.timing import Effort, Runner, measure, medians
from hqdit_mobile.diffusion.trajectory import IN_ENGINE, initial_noise, sample_latents
from hqdit_mobile.export.lowering.denoiser import Denoiser, GuidedDenoiser
from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.runtime.engine import Pipeline
from hqdit_mobile.util.metrics import snr_db
from hqdit_mobile.util.pictures import to_rgb

TIMESTEP, LABEL, SEED = 500, 0, 0


def bench_steps(prepared: Prepared, threads: int, effort: Effort, on_round: Callable[[], None]) -> dict[str, Any]:
    """The guided and the unguided step, ``effort.rounds`` of each; the headline ratios are those of the guided one,
    where the model has it."""
    with ExitStack() as stack:
        opened = _open(prepared, threads, stack)
        result: dict[str, Any] = {
            step: _one_kind(prepared, opened, step, threads, effort, on_round) for step in prepared.steps
        }
    headline = result[prepared.steps[0]]
    names = ("fastest_peer", "speedup_vs_fastest_peer", "speedup_vs_torch_float32")
    return {name: headline[name] for name in names} | result


def _open(prepared: Prepared, threads: int, stack: ExitStack) -> dict[str, Pipeline]:
    return {
        name: stack.enter_context(Pipeline(path, threads=threads, trust_programs=True))
        for name, path in prepared.bundles.items()
    }


def _one_kind(
    prepared: Prepared,
    pipelines: dict[str, Pipeline],
    step: str,
    threads: int,
    effort: Effort,
    on_round: Callable[[], None],
) -> dict[str, Any]:
    noise = initial_noise(prepared.model.latent_shape, SEED)
    torch_step = _torch_step(prepared, step, noise)
    runners: dict[str, Runner] = {TORCH: torch_step}
    snr: dict[str, float] = {}
    float_noise = torch_step()
    for name, pipeline in pipelines.items():
        runners[name] = run = _engine_step(pipeline, noise[0].numpy(), step)
        snr[name] = snr_db(float_noise, torch.from_numpy(run()))
    for name, files in prepared.onnx.items():
        session = peers_onnxruntime.session(files[step], threads, ours=name == OUR_ONNX)
        feeds = _feeds(noise.numpy(), step, prepared.model.dit.null_label)
        feeds = {i.name: feeds[i.name] for i in session.get_inputs()}
        runners[name] = peers_onnxruntime.runner(session, feeds)
        snr[name] = snr_db(float_noise, torch.from_numpy(session.run(None, feeds)[0]))
    seconds = medians(measure(runners, effort, on_round))
    return {**compared(seconds), "snr_db_vs_torch_float32": snr}


def compared(seconds: dict[str, float]) -> dict[str, Any]:
    """Times and the ratios that follow from them; "speedup" is a peer's time over that of our .pte."""
    peers = {name: value for name, value in seconds.items() if name not in OURS}
    fastest = min(peers, key=lambda name: peers[name])
    return {
        "milliseconds": {name: 1e3 * value for name, value in seconds.items()},
        "fastest_peer": fastest,
        "speedup_vs_fastest_peer": seconds[fastest] / seconds[OUR_PTE],
        "speedup_vs_torch_float32": seconds[TORCH] / seconds[OUR_PTE],
        "speedup": {name: value / seconds[OUR_PTE] for name, value in seconds.items()},
    }


def _torch_step(prepared: Prepared, step: str, noise: Tensor) -> Callable[[], Tensor]:
    dit = prepared.model.dit
    module = GuidedDenoiser(dit) if step == "guided" else Denoiser(dit)
    inputs = noise, torch.tensor([float(TIMESTEP)]), torch.tensor([LABEL])

    def run() -> Tensor:
        with torch.inference_mode():
            return module(*inputs)

    return run


def _engine_step(pipeline: Pipeline, latents: np.ndarray, step: str) -> Callable[[], np.ndarray]:
    return lambda: pipeline.denoise(latents, TIMESTEP, LABEL, guided=step == "guided")


def _feeds(latents: np.ndarray, step: str, null_label: int | None) -> dict[str, np.ndarray]:
    """By input name: ``label`` in the peers' files, ``labels`` in ours."""
    return {
        "latents": latents,
        "timestep": np.array([TIMESTEP], np.float32),
        "label": np.array([LABEL]),
        "labels": np.array([LABEL, null_label] if step == "guided" else [LABEL]),
    }


def bench_image(
    prepared: Prepared, threads: int, steps: int, effort: Effort, on_round: Callable[[], None]
) -> dict[str, Any]:
    """An image at the bundle's guidance: by the engine with our and with XNNPACK's transformers, and by torch."""
    defaults, model = prepared.manifest.defaults, prepared.model
    scale = defaults.guidance_scale
    noise = initial_noise(model.latent_shape, SEED)
    settings: dict[str, Any] = IN_ENGINE | {"steps": steps, "guidance_scale": scale}
    with ExitStack() as stack:
        pipelines = _open(prepared, threads, stack)
        runners: dict[str, Runner] = {TORCH: lambda: _torch_image(model, noise, steps, scale)}
        for name, pipeline in pipelines.items():
            runners[name] = _engine_image(pipeline, settings)
        seconds = medians(measure(runners, effort, on_round))
        last = pipelines[OUR_PTE].generate_batch(LABEL, [SEED], **settings)
    parts = {"denoise": last.denoise_ms, "decode": last.decode_ms}
    settings["guidance_interval"] = list(settings["guidance_interval"])
    return {**settings, **compared(seconds), "milliseconds_of_ours": parts}


def _torch_image(model: LoadedModel, noise: Tensor, steps: int, guidance_scale: float) -> np.ndarray:
    label = torch.tensor([LABEL])
    latents = sample_latents(Denoiser(model.dit, fused=True), model.process, noise, label, steps, guidance_scale)
    return to_rgb(model.decode(latents)[0])


def _engine_image(pipeline: Pipeline, settings: dict[str, Any]) -> Runner:
    return lambda: pipeline.generate(LABEL, seed=SEED, **settings)
