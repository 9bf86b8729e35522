# SPDX-License-Identifier: Apache-2.0
"""What a bundle's card and its report say of it: the same figures in both."""

from __future__ import annotations

from pathlib import Path

from hqdit_mobile.export.bundle.quality import Quality
from hqdit_mobile.export.lowering.vae_decoder import NEEDED_DB
from hqdit_mobile.runtime.manifest import Decoder, Manifest
from hqdit_mobile.runtime.memory import memory_text


def facts(manifest: Manifest, folder: Path, quality: Quality) -> list[tuple[str, str]]:
    """Names and values, as plain text. Raises BundleError if hqdit-export did not make the bundle in ``folder``."""
    (source, quantization), memory = manifest.made_from(folder), manifest.memory
    weights, original = memory.weights_bytes, quantization.float32_bytes
    channels, height, width = manifest.model.image_shape
    guided = "unguided: the model has no null class" if manifest.model.null_label is None else "guided"
    seconds = f"{quality.median_draw_ms / 1e3:.2f} s for a picture in {quality.steps} steps"
    return [
        ("source model", f"{source.model} ({source.licence})"),
        ("precision", f"{quantization.precision}, {quantization.bits_per_weight} bits per quantized weight"),
        ("files", f"{weights / 1e6:.1f} MB, {weights / original:.3f} of the float32 weights ({original / 1e6:.1f} MB)"),
        ("memory", f"{memory_text(memory)}, measured on the exporting machine"),
        ("speed", f"{seconds}, {guided}, on the exporting machine"),
        ("image", f"{width} x {height}, {channels} channels"),
        ("image decoder", _decoder(manifest.decoder or Decoder())),
        ("noise prediction", f"{quality.mean_eps_snr_db:.1f} dB SNR to the float model, mean over timesteps"),
        ("images", f"{quality.mean_psnr_db:.1f} dB PSNR to the float model, same seed, {len(quality.images)} images"),
    ]


def _decoder(about: Decoder) -> str:
    if about.precision == "int8":
        return f"int8, {about.psnr_db} dB PSNR to the float decoder"
    if about.int8_psnr_db is not None:
        return f"float32 (int8 would have {about.int8_psnr_db} dB PSNR to it, and {NEEDED_DB:g} are needed)"
    return about.precision
