# SPDX-License-Identifier: Apache-2.0
"""report.html: one self-contained page: pictures, error per layer and per timestep, parity."""

from __future__ import annotations

import html
import io
import math
from pathlib import Path

import numpy as np

from hqdit_mobile.export.bundle.agreement import decibels
from hqdit_mobile.export.bundle.parity import ParityReport
from hqdit_mobile.export.bundle.quality import Quality
from hqdit_mobile.quantize.job import QuantizationReport
from hqdit_mobile.runtime.manifest import Manifest
from hqdit_mobile.util.charts import heat_map
from hqdit_mobile.util.page import figure, page, strips


def write_report(
    path: Path, manifest: Manifest, quantized: QuantizationReport, parity: ParityReport, quality: Quality
) -> None:
    source, quantization = manifest.made_from(path.parent)
    title = f"{manifest.name}, {quantization.precision}"
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        "<p><b>Random weights: it draws noise.</b>" if source.random_weights else "",
        "<h2>Images</h2><p>Same seeds, float above, this bundle below.</p>",
        strips(np.stack([quality.float_images, quality.images]), quality.labels),
        "<h2>Error</h2><div class=side>",
        figure(_plot_timesteps(quality), "Noise prediction against the float model, by timestep."),
        _layers(quantized),
        "</div><h2>Parity with torch</h2>",
        _parity_table(parity),
    ]
    path.write_text(page(title, "".join(sections)))


def _plot_timesteps(quality: Quality) -> bytes:
    from matplotlib.figure import Figure

    plot = Figure(figsize=(5, 3), layout="constrained")  # inches: a phone's width, so that its text stays readable
    axes = plot.subplots()
    axes.grid(alpha=0.3)
    axes.set_ylabel("SNR (dB)")
    axes.plot(list(quality.eps_snr_db), list(quality.eps_snr_db.values()), marker="o")
    axes.set_xlabel("timestep (noise on the left)")
    axes.invert_xaxis()
    stream = io.BytesIO()
    plot.savefig(stream, format="png", dpi=150)
    return stream.getvalue()


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
    others = "".join(f", {name} {decibels(value)}" for name, value in snr.items() if not name.startswith("blocks."))
    chart = heat_map("SNR of each layer", rows, [part.split(".")[-1] for part in columns], "layer")
    text = f"Output of each quantized layer against its float twin, on calibration data, in dB{others}."
    return f"<figure>{chart}<figcaption>{html.escape(text)}</figcaption></figure>"


def _parity_table(parity: ParityReport) -> str:
    rows = "".join(
        f"<tr{'' if c.passed else ' class=fail'}><td>{c.stage}<td>{html.escape(c.name)}<td>{decibels(c.db)}"
        f"<td>{decibels(c.needed_db)}<td>{c.unit}<td>{c.max_error:.2e}<td>{c.mean_error:.2e}<td>{c.cosine:.6f}"
        for c in parity.checks
    )
    head = "<tr><th>stage<th>what<th>value<th>needed<th>unit<th>max error<th>mean error<th>cosine"
    return f"<div class=scroll><table>{head}{rows}</table></div>"
