# SPDX-License-Identifier: Apache-2.0
"""report.html: one self-contained page: what the bundle is, pictures, errors, parity. No script from elsewhere."""

from __future__ import annotations

import math
from pathlib import Path

from hqdit_mobile.export.bundle.agreement import STAGES, decibels
from hqdit_mobile.export.bundle.facts import facts
from hqdit_mobile.export.bundle.parity import ParityReport
from hqdit_mobile.export.bundle.quality import Quality
from hqdit_mobile.quantize.quantizer import QuantizationReport
from hqdit_mobile.runtime.manifest import Manifest
from hqdit_mobile.util.charts import curve, heat_map
from hqdit_mobile.util.metrics import psnr_db
from hqdit_mobile.util.page import COMPARISON, comparison, page, shown


def write_report(
    path: Path,
    manifest: Manifest,
    quantized: QuantizationReport,
    parity: ParityReport,
    quality: Quality,
    command: str = "",
) -> None:
    """``command``: the one that made the bundle, or nothing."""
    source, quantization = manifest.made_from(path.parent)
    title = f"{manifest.name}, {quantization.precision}"
    rows = "".join(f"<tr><th>{shown(name)}<td>{shown(value)}" for name, value in facts(manifest, path.parent, quality))
    sections = [
        f"<h1>{shown(title)}</h1>",
        "<p class=fail>Random weights: it draws noise.</p>" if source.random_weights else "",
        f"<p>{parity_line(parity)}</p>",
        "<h2>Pictures</h2><p>Same seeds. Left of the line is the float model, right of it this bundle; move it.</p>",
        f"<div class=pairs>{_pictures(quality)}</div>",
        f"<h2>Size, memory, speed</h2><table>{rows}</table>",
        f"<p>Made by</p><pre>{shown(command)}</pre>" if command else "",
        "<h2>Error</h2><div class=side>",
        _timesteps(quality),
        _layers(quantized),
        "</div><h2>Parity with torch</h2>",
        f"<details><summary>All {len(parity.checks)} checks</summary>{_parity_table(parity)}</details>",
    ]
    path.write_text(page(title, "".join(sections), COMPARISON), encoding="utf-8")


def parity_line(parity: ParityReport) -> str:
    """The outcome of all checks in one line of HTML: how many, and the one with the least to spare of each stage."""
    stages = [stage for stage in STAGES if any(c.stage == stage for c in parity.checks)]
    passed = sum(c.passed for c in parity.checks)
    told = ", ".join(f"{stage} {decibels(parity.worst(stage).db)}" for stage in stages)
    kind, word = ("pass", "Parity passed") if parity.passed else ("fail", "Parity failed")
    return (
        f"<span class={kind}>{word}</span>: {passed} of {len(parity.checks)} checks of the programs against the "
        f"quantized torch model; the worst of each stage, in dB: {shown(told)}."
    )


def _pictures(quality: Quality) -> str:
    pairs = zip(quality.float_images, quality.images, quality.labels, strict=True)
    return "".join(
        comparison(before, after, "float model", "this bundle", f"{label}: {_db(psnr_db(before, after))} PSNR")
        for before, after, label in pairs
    )


def _db(value: float) -> str:
    return "equal" if value == math.inf else f"{value:.1f} dB"


def _timesteps(quality: Quality) -> str:
    points = list(quality.eps_snr_db.items())
    chart = curve("SNR of the prediction by time", "time (noise on the left)", "SNR (dB)", points)
    return f"<figure>{chart}<figcaption>The network's prediction against the float model's.</figcaption></figure>"


def _layers(quantized: QuantizationReport) -> str:
    """A table block x layer, and what is outside the blocks below it."""
    snr = {layer.name: layer.snr_db for layer in quantized.layers}
    rows: dict[str, list[float | None]] = {}
    columns: list[str] = []
    for name, value in snr.items():
        if name.startswith("blocks."):
            _, index, part = name.split(".", 2)
            columns += [] if part in columns else [part]
            rows.setdefault(f"block {index}", []).append(value if math.isfinite(value) else None)
    others = ", ".join(f"{name} {decibels(value)}" for name, value in snr.items() if not name.startswith("blocks."))
    chart = heat_map("SNR of each layer", rows, [part.split(".")[-1] for part in columns], "layer")
    text = f"Each quantized layer's output against its float twin's, on calibration data. Outside the blocks: {others}."
    return f"<figure>{chart}<figcaption>{shown(text)}</figcaption></figure>"


def _parity_table(parity: ParityReport) -> str:
    rows = "".join(
        f"<tr{'' if c.passed else ' class=fail'}><td>{c.stage}<td>{shown(c.name)}<td>{decibels(c.db)}"
        f"<td>{decibels(c.needed_db)}<td>{c.unit}<td>{c.max_error:.2e}<td>{c.mean_error:.2e}<td>{c.cosine:.6f}"
        for c in parity.checks
    )
    head = "<tr><th>stage<th>what<th>value<th>needed<th>unit<th>max error<th>mean error<th>cosine"
    return f"<div class=scroll><table>{head}{rows}</table></div>"
