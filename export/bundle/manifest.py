# SPDX-License-Identifier: Apache-2.0
"""What an export writes into manifest.json."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from hqdit_mobile.export.bundle.memory import measure_peak_bytes
from hqdit_mobile.export.bundle.model_files import ModelFiles, methods_of
from hqdit_mobile.export.bundle.options import ExportOptions
from hqdit_mobile.export.bundle.preview import fit_preview
from hqdit_mobile.export.bundle.resume import TOOLS
from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.quantize.quantizer import QuantizationReport
from hqdit_mobile.quantize.weight_cost import a4_share
from hqdit_mobile.runtime import manifest as sections
from hqdit_mobile.runtime.manifest import SCHEMA_VERSION, Manifest
from hqdit_mobile.runtime.manifest_file import describe_file, write_manifest
from hqdit_mobile.runtime.memory import limit_for_tiles

TYPES: dict[torch.dtype, Literal["int64", "float32"]] = {torch.int64: "int64", torch.float32: "float32"}


def build_manifest(
    options: ExportOptions,
    model: LoadedModel,
    quantized: QuantizationReport,
    folder: Path,
    files: ModelFiles,
    latents: Tensor,
) -> Manifest:
    """``latents`` [B, C, S, S]: of finished pictures, to fit the preview to. The peak of memory is not known yet."""
    size = model.image_size
    described = {name: describe_file(folder, file) for name, file in files.names.items()}
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=model.name,
        target=options.target,
        runtime=options.runtime,
        source=sections.Source(model=model.source, licence=model.licence, random_weights=model.has_random_weights),
        model=sections.Model(
            latent_shape=model.latent_shape,
            image_shape=(3, size, size),
            num_classes=model.dit.config.num_classes,
            null_label=model.dit.null_label,
            vae_scaling_factor=model.vae.scaling_factor,
        ),
        conditions=[
            sections.Condition(name=name, type=TYPES[condition.dtype], shape=list(condition.shape), null=condition.null)
            for name, condition in model.dit.conditions.items()
        ],
        quantization=sections.Quantization(
            config=asdict(options.config),
            bits_per_weight=round(quantized.bits_per_weight, 3),
            a4_share=round(a4_share(model.dit), 3),
            float32_bytes=quantized.float_bytes + sum(p.numel() * 4 for p in model.vae.parameters()),
        ),
        files=described,
        methods=methods_of(model.dit),
        decoder=files.decoder,
        onnx=files.onnx,
        process=sections.ProcessSection.of(model.process),
        defaults=sections.Defaults(
            scheduler=options.scheduler or model.process.sampler,
            steps=options.steps,
            guidance_scale=options.scale,
            guidance_interval=options.guidance_interval,
        ),
        preview=fit_preview(model, latents),
        memory=sections.Memory(
            weights_bytes=sum(entry.bytes for entry in described.values()),
            arena_bytes=files.arena_bytes,
            peak_bytes=0,
        ),
        labels=model.labels,
        tools={tool: version(tool) for tool in TOOLS + files.tools} | {"python": platform.python_version()},
    )


def measure_memory(folder: Path, manifest: Manifest, on_picture: Callable[[], None] = lambda: None) -> None:
    """Completes ``memory``: the engine opens the folder with the manifest as it is known so far. on_picture: after one
    picture and, where the bundle decodes in tiles too, after a second."""
    memory = manifest.memory
    write_manifest(folder, manifest)
    memory.peak_bytes = measure_peak_bytes(folder)
    on_picture()
    if manifest.decoder and manifest.decoder.tiles:
        memory.tiled_peak_bytes = 1  # lets the engine take the tiles under any limit
        write_manifest(folder, manifest)
        memory.tiled_peak_bytes = measure_peak_bytes(folder, limit_for_tiles(memory))
        on_picture()
    write_manifest(folder, manifest)
