# SPDX-License-Identifier: Apache-2.0
"""The bundle's README.md: what it is, what was measured on it, how to run it, under which licence."""

from __future__ import annotations

from pathlib import Path

from hqdit_mobile.export.bundle.agreement import STAGES, decibels
from hqdit_mobile.export.bundle.parity import ParityReport
from hqdit_mobile.export.bundle.quality import Quality
from hqdit_mobile.export.lowering.vae_decoder import NEEDED_DB
from hqdit_mobile.runtime.manifest import Decoder, Manifest, memory_text

RANDOM_WEIGHTS = "**The weights are random: it draws noise, and only time, memory and size mean something.**\n\n"
RUN = {
    "desktop": "",
    "android": "Open this folder in the demo app (android_demo), or load it with `hqdit_open` of hqdit.h. ",
    "ios": "Load this folder with `hqdit_open` of hqdit.h. ",
}


def model_card(manifest: Manifest, folder: Path, parity: ParityReport, quality: Quality, source_card: str) -> str:
    (source, quantization), memory = manifest.made_from(folder), manifest.memory
    weights, original = memory.weights_bytes, quantization.float32_bytes
    channels, height, width = manifest.model.image_shape
    rows = [
        ("source model", f"{source.model} ({source.licence})"),
        ("precision", f"{quantization.precision}, {quantization.bits_per_weight} bits per quantized weight"),
        ("files", f"{weights / 1e6:.1f} MB, {weights / original:.3f} of the float32 weights ({original / 1e6:.1f} MB)"),
        ("memory", f"{memory_text(memory)}, measured on the exporting machine"),
        ("image", f"{width} x {height}, {channels} channels"),
        ("image decoder", _decoder(manifest.decoder or Decoder())),
        ("noise prediction", f"{quality.mean_eps_snr_db:.1f} dB SNR to the float model, mean over timesteps"),
        ("images", f"{quality.mean_psnr_db:.1f} dB PSNR to the float model, same seed, {len(quality.images)} images"),
    ]
    stages = [
        f"| {stage} | {sum(c.stage == stage for c in parity.checks)} | {worst.name} | "
        f"{decibels(worst.db)} | {decibels(worst.needed_db)} | {worst.unit} |"
        for stage in STAGES
        if any(c.stage == stage for c in parity.checks) and (worst := parity.worst(stage))
    ]
    sample = f'On a desktop: `hqdit sample FOLDER --label "{quality.labels[0]}" --seed 7 -o picture.png`.'
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return (
        f"# {manifest.name} for {manifest.target}\n\n"
        f"{RANDOM_WEIGHTS if source.random_weights else ''}"
        f"Made by hqdit-mobile {manifest.tools['hqdit-mobile']}. {RUN[manifest.target]}{sample}\n\n"
        f"![float model above, this bundle below](preview.png)\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"## Parity with the quantized torch model ({parity.runtime})\n\n"
        f"| stage | checks | worst | value | needed | unit |\n|---|---|---|---|---|---|\n" + "\n".join(stages) + "\n\n"
        "parity.json has every check, report.html the pictures and plots.\n\n"
        f"## The source model\n\n{_nested(source_card) or 'See the source.'}\n"
    )


def _decoder(about: Decoder) -> str:
    if about.precision == "int8":
        return f"int8, {about.psnr_db} dB PSNR to the float decoder"
    if about.int8_psnr_db is not None:
        return f"float32 (int8 would have {about.int8_psnr_db} dB PSNR to it, and {NEEDED_DB:g} are needed)"
    return about.precision


def _nested(card: str) -> str:
    """The source's card with its headings one level down."""
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in card.splitlines())
