# SPDX-License-Identifier: Apache-2.0
"""The main job: load a model, quantize it, lower it, check it, and write a bundle."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hqdit_mobile.diffusion.plan import plan
from hqdit_mobile.diffusion.trajectory import initial_noise, sample_latents
from hqdit_mobile.export.bundle.agreement import Agreement, decibels
from hqdit_mobile.export.bundle.budget import Effort, calibration_for, effort_for
from hqdit_mobile.export.bundle.card import model_card
from hqdit_mobile.export.bundle.folder import (
    check_output,
    check_space,
    put_back,
    real_output,
    staged_folder,
    write_json,
)
from hqdit_mobile.export.bundle.forecast import duration, forecast
from hqdit_mobile.export.bundle.loader_check import check_loader
from hqdit_mobile.export.bundle.manifest import build_manifest, measure_memory
from hqdit_mobile.export.bundle.model_files import RUNTIMES, write_model_files
from hqdit_mobile.export.bundle.options import TARGETS, USUAL_GUIDANCE, ExportOptions
from hqdit_mobile.export.bundle.parity import ParityReport, check_bundle, pieces_of_parity
from hqdit_mobile.export.bundle.probe import Probe, make_probe, write_probe
from hqdit_mobile.export.bundle.quality import compare_with_float
from hqdit_mobile.export.bundle.report import write_report
from hqdit_mobile.export.bundle.resume import open_work, remember_staging, remove_staging
from hqdit_mobile.model.loading import LoadedModel, load_model
from hqdit_mobile.ops.float_ops import HEAD_DIMS
from hqdit_mobile.quantize.job import quantize_
from hqdit_mobile.quantize.quantizer import QuantizationReport
from hqdit_mobile.runtime.documents import describe_documents
from hqdit_mobile.runtime.manifest import Manifest
from hqdit_mobile.runtime.manifest_file import read_manifest_text, write_manifest
from hqdit_mobile.runtime.signature import write_signature
from hqdit_mobile.util.heap import release_memory
from hqdit_mobile.util.progress import Stages, peak_rss_bytes

PREVIEW_IMAGES = 12
PREVIEW_STEPS = 10


def export_bundle(options: ExportOptions, stages: Stages) -> Path:
    """Exports a model to a bundle: loads, calibrates, quantizes, lowers, compares with torch, writes.

    Args:
        options: the model, the folder and the settings.
        stages: shows how far it is.

    Returns:
        The bundle's folder, with links resolved.

    Raises:
        ParityError: the programs do not compute what the quantized torch model does; the message names the stages.
        BundleError: the folder holds something else, or its disk is too small.
        CheckpointError: or what else ``load_model`` and ``quantize_`` raise.
        ValueError: an option makes no sense; the message names it.

    After an error nothing is left at the output path, and what is finished of the quantization stays in the folder
    beside it, from which the same options go on (resume.py).
    """
    if options.target not in TARGETS:
        raise ValueError(f"target {options.target!r} is not one of {', '.join(TARGETS)}")
    if options.runtime not in RUNTIMES:
        raise ValueError(f"runtime {options.runtime!r} is not one of {', '.join(RUNTIMES)}")
    options = replace(options, output=real_output(options.output))
    check_output(options.output, options.force)
    low, high = options.guidance_interval
    if not 0 <= low <= high <= 1:
        raise ValueError(f"the guidance interval must lie in 0 .. 1, low before high, not {low:g} {high:g}")
    started = time.perf_counter()
    stages.begin("Load the model")
    model = _load(options)
    for note in model.notes:
        stages.note(note)
    scale = model.guidance(options.guidance_scale, USUAL_GUIDANCE, options.guidance_interval)
    options = replace(options, guidance_scale=scale)
    scheduler = options.scheduler or model.process.sampler
    plan(model.process, options.steps, scheduler)  # before an hour of work, whether it can be drawn so
    loaded = _check_loader(options, model, stages)
    config = calibration_for(model.dit, options.config, options.fast, options.calibration_samples)
    options = replace(options, config=config, scheduler=scheduler)
    expected = forecast(model, config, effort_for(model.dit, options.steps, options.fast))
    stages.note(f"This export takes {duration(expected.seconds)} on this machine.")
    with open_work(options.output, model, config) as work:
        check_space(options.output, expected.disk_bytes)
        remove_staging(work, options.output)
        put_back(options.output)
        check_output(options.output, options.force)
        quantized = quantize_(model.dit, config, model.process, stages, work)
        release_memory()  # a streamed model's float weights, where they were not mapped from a file
        with staged_folder(options.output, options.force) as folder:
            remember_staging(work, folder)
            manifest = _write_bundle(options, model, loaded, quantized, folder, stages)
            manifest.export_seconds = round(time.perf_counter() - started, 1)
            manifest.export_peak_bytes = peak_rss_bytes()
            manifest.documents = describe_documents(folder, manifest)
            write_manifest(folder, manifest)
            if options.key is not None:
                write_signature(folder, options.key, read_manifest_text(folder))
    return options.output


def _load(options: ExportOptions) -> LoadedModel:
    model = load_model(options.model, options.vae, streamed=True, given=options.given)
    check_heads(model.dit.config)
    model.dit.drop_learned_sigma_()
    return model


def check_heads(config: Any) -> None:
    """Every width and patch size can be exported, but not every attention: better known now than after an hour."""
    (low, high), channels = HEAD_DIMS, config.hidden_size // config.num_heads
    if not low <= channels <= high:
        raise ValueError(
            f"the model's attention heads have {channels} channels; the attention operator of the phone takes {low} to "
            f"{high} (docs/float-ops.md)"
        )


def _check_loader(options: ExportOptions, model: LoadedModel, stages: Stages) -> list[Agreement]:
    """Compares the float network with the source's own, where there is one."""
    if model.diffusers is None:
        return []
    stages.begin("Compare with diffusers' network")
    report = ParityReport("torch", check_loader(model, options.scale))
    model.diffusers = None  # its tensors are not wanted again
    report.require("the network that was loaded does not compute what diffusers' own does with the same folder")
    worst = report.worst("loader")
    least = decibels(worst.db) if worst.db == math.inf else f"{decibels(worst.db)} dB SNR at least"
    stages.note(f"The network that was loaded computes what diffusers' own does: {least}.")
    return report.checks


def _write_bundle(
    options: ExportOptions,
    model: LoadedModel,
    loaded: list[Agreement],
    quantized: QuantizationReport,
    folder: Path,
    stages: Stages,
) -> Manifest:
    """Everything after quantization, into `folder`; returns the manifest."""
    effort = effort_for(model.dit, options.steps, options.fast)
    stages.begin("Draw for the preview and the decoder", preview_effort(model, options).steps)
    latents = clean_latents(model, options, lambda *_: stages.advance())
    stages.begin(f"Lower to {RUNTIMES[options.runtime]}", 100)
    files = write_model_files(options.runtime, model, folder, latents, stages.advance)
    stages.begin("Fit the preview, measure memory", 3 if files.decoder.tiles else 2)
    manifest = build_manifest(options, model, quantized, folder, files, latents)
    stages.advance()
    measure_memory(folder, manifest, stages.advance)
    stages.begin("Draw what parity is checked on", effort.steps)
    probe = make_parity_probe(options, folder, model, lambda *_: stages.advance())
    stages.begin("Check parity with torch", pieces_of_parity(options.runtime))
    parity = check_bundle(folder, model.dit, probe, stages.advance)
    release_memory()
    parity.checks[:0] = loaded
    write_json(folder / "parity.json", parity.to_json())
    parity.require("the exported programs do not match the quantized model")
    # Read again rather than kept from the start: block by block it takes no memory, a copy would take gigabytes.
    float_dit, labels = _load(options).dit, preview_labels(model, effort.pictures)
    quality = compare_with_float(folder, model, float_dit, labels, effort, options.scale, stages)
    Image.fromarray(quality.grid()).save(folder / "preview.png")
    write_report(folder / "report.html", manifest, quantized, parity, quality, options.command)
    card = model_card(manifest, folder, parity, quality, model.model_card, options.command)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return manifest


def make_parity_probe(
    options: ExportOptions, folder: Path, model: LoadedModel, on_step: Callable[[int, int], None] | None = None
) -> Probe:
    """What the bundle is compared on, now and by ``hqdit parity`` later: leaves it in the bundle."""
    steps = effort_for(model.dit, options.steps, options.fast).steps
    probe = make_probe(model, torch.tensor(preview_labels(model, 1)), 0, steps, options.scale, on_step)
    write_probe(folder, model, probe)
    return probe


def preview_labels(model: LoadedModel, count: int = PREVIEW_IMAGES) -> list[int]:
    """Classes for the pictures in reports: the model's own choice, or spread over all classes."""
    chosen = [model.labels.index(name) for name in model.defaults.get("preview_labels", [])]
    classes = model.dit.config.num_classes
    count = min(count, classes)
    return chosen[:count] or [i * classes // count for i in range(count)]


def preview_effort(model: LoadedModel, options: ExportOptions) -> Effort:
    return effort_for(model.dit, PREVIEW_STEPS, options.fast)


def clean_latents(
    model: LoadedModel, options: ExportOptions, on_step: Callable[[int, int], None] | None = None
) -> Tensor:
    """Latents [B, C, S, S] of finished images, drawn by the quantized torch model."""
    effort = preview_effort(model, options)
    labels = preview_labels(model, effort.pictures)
    noise = torch.cat([initial_noise(model.latent_shape, seed) for seed in range(len(labels))])
    run = noise, torch.tensor(labels), effort.steps, options.scale
    return sample_latents(model.dit, model.process, *run, on_step)
