# SPDX-License-Identifier: Apache-2.0
"""report.html: one self-contained page: pictures, error per layer and per timestep, parity."""

from __future__ import annotations

import html
import io
from pathlib import Path
from typing import Any

from hqdit_mobile.export.agreement import decibels
from hqdit_mobile.export.parity import ParityReport
from hqdit_mobile.export.quality import Quality
from hqdit_mobile.page import figure, page, png
from hqdit_mobile.quantize import QuantizationReport


def write_report(
    path: Path, manifest: dict[str, Any], quantized: QuantizationReport, parity: ParityReport, quality: Quality
) -> None:
    title = f"{manifest['name']}, {manifest['quantization']['precision']}"
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        "<p><b>Random weights: it draws noise.</b>" if manifest["source"]["random_weights"] else "",
        figure(png(quality.grid()), "Same seeds, float above, this bundle below: " + ", ".join(quality.labels)),
        figure(_plot_timesteps(quality), "Noise prediction against the float model, by timestep."),
        figure(_plot_layers(quantized), "Output of each quantized layer against its float twin, on calibration data."),
        "<h2>Parity with torch</h2>",
        _parity_table(parity),
    ]
    path.write_text(page(title, "".join(sections)))


def _axes(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.set_ylabel("SNR (dB)")
    return figure, axes


def _render(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _plot_timesteps(quality: Quality) -> bytes:
    figure, axes = _axes(9, 3)
    axes.plot(list(quality.eps_snr_db), list(quality.eps_snr_db.values()), marker="o")
    axes.set_xlabel("timestep (noise on the left)")
    axes.invert_xaxis()
    return _render(figure)


def _plot_layers(quantized: QuantizationReport) -> bytes:
    figure, axes = _axes(11, 3.5)
    names = [layer.name for layer in quantized.layers]
    axes.bar(range(len(names)), [layer.snr_db for layer in quantized.layers])
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
    return _render(figure)


def _parity_table(parity: ParityReport) -> str:
    rows = "".join(
        f"<tr{'' if c.passed else ' class=fail'}><td>{c.stage}<td>{html.escape(c.name)}<td>{decibels(c.db)}"
        f"<td>{decibels(c.needed_db)}<td>{c.unit}<td>{c.max_error:.2e}<td>{c.mean_error:.2e}<td>{c.cosine:.6f}"
        for c in parity.checks
    )
    return f"<table><tr><th>stage<th>what<th>value<th>needed<th>unit<th>max error<th>mean error<th>cosine{rows}</table>"
