# SPDX-License-Identifier: Apache-2.0
"""report.html: one self-contained page, without scripts, that reads on a phone too."""

from __future__ import annotations

from typing import Any

import numpy as np

from hqdit_mobile.evaluate.figures import used_columns
from hqdit_mobile.util.charts import Point, heat_map, scatter
from hqdit_mobile.util.page import page, shown, strips

GAIN = 4  # of the difference
STYLE = """
td.name, th.name { position: sticky; left: 0;
background: var(--page); } small { display: block; color: var(--faint); } .n { text-align: right; }
dt { font-weight: bold; }
"""


def report_page(record: dict[str, Any], images: dict[str, np.ndarray], labels: list[str]) -> str:
    """images: the first few images of each candidate by name, uint8 [n, H, W, 3]; labels [n]: what they show."""
    candidates = record["candidates"]
    protocol = record["protocol"]
    title = f"{record['model'].removeprefix('builtin:')}: image quality"
    intro = (
        f"{protocol['samples']} images of each, {protocol['steps']} DDIM steps, "
        f"guidance {protocol['guidance_scale']:g}. "
        "Each image of a candidate has the seed and class of the float model's image that it is compared with."
    )
    sections = [
        f"<h1>{shown(title)}</h1><p>{shown(intro)}</p><pre>{shown(record['command'])}</pre>",
        _table(candidates),
        *(f"<p>{shown(note)}</p>" for note in record["notes"]),
        _scatters(candidates),
        *(_strips(figures["name"], images, labels) for figures in candidates[1:] if figures["name"] in images),
        _heat_maps(candidates),
        "<h2>How it was made</h2>",
        _protocol(record),
    ]
    return page(title, "".join(sections), STYLE)


def _table(candidates: list[dict[str, Any]]) -> str:
    columns = used_columns(candidates)
    head = "".join(f"<th class=n>{shown(column.short)}" for column in columns)
    rows = []
    for number, figures in enumerate(candidates, start=1):
        cells = (f"<td class=n>{c.cell(figures)}<small>{c.interval(figures)}</small>" for c in columns)
        name = f"{number} {shown(figures['name'])}<small>{shown(figures['runtime'])}</small>"
        rows.append(f"<tr><td class=name>{name}{''.join(cells)}")
    meanings = "".join(f"<dt>{shown(c.short)}<dd>{shown(c.meaning)}" for c in columns)
    small = "<p>Small print: 95 % intervals by bootstrap over images. A narrow screen scrolls the table sideways.</p>"
    table = f"<div class=scroll><table><tr><th class=name>candidate{head}{''.join(rows)}</table></div>"
    return f"{table}{small}<details><summary>What the columns are</summary><dl>{meanings}</dl></details>"


def _scatters(candidates: list[dict[str, Any]]) -> str:
    """Distance to float where there is one, which float itself has too: zero; else the error of the noise."""
    distances = any("fd_float" in figures for figures in candidates)
    key, name = ("fd_float", "FD to float") if distances else ("eps_snr_db", "eps-SNR (dB)")
    quality = [0.0 if distances and f["kind"] == "float" else f.get(key) for f in candidates]
    shown = [(i, f, q) for i, (f, q) in enumerate(zip(candidates, quality, strict=True), start=1) if q is not None]
    if len(shown) < 2:
        return ""
    parts = []
    for cost, cost_name in (("megabytes", "transformer, MB"), ("seconds_per_image", "seconds per image")):
        points = [Point(i, figures[cost], value) for i, figures, value in shown]
        title = f"{name} against {cost_name}"
        parts.append(f"<figure>{scatter(title, cost_name, name, points, not distances)}</figure>")
    better = "Lower" if distances else "Higher"
    text = f"{better} and further left is better. Numbers are the table's; the line joins what nothing beats in both."
    return f"<h2>Quality against size and time</h2><p>{text}</p><div class=side>{''.join(parts)}</div>"


def _strips(name: str, images: dict[str, np.ndarray], labels: list[str]) -> str:
    expected, got = images["float"], images[name]
    difference = np.abs(expected.astype(int) - got) * GAIN
    rows = np.stack([expected, got, difference.clip(max=255).astype(np.uint8)])  # (3, n, H, W, 3)
    text = f"<p>Float above, {shown(name)} below it, then their difference times {GAIN}.</p>"
    return f"<h2>Images: {shown(name)}</h2>{text}{strips(rows, labels)}"


def _heat_maps(candidates: list[dict[str, Any]]) -> str:
    parts = []
    for figures in candidates:
        by_timestep = figures.get("eps_snr_db_by_timestep")
        if by_timestep is None:
            continue
        rows = {name.removeprefix("blocks."): values for name, values in figures.get("layer_snr_db", {}).items()}
        rows["noise"] = list(by_timestep.values())
        chart = heat_map(f"SNR of {figures['name']} by layer and timestep", rows, list(by_timestep), "timestep")
        parts.append(f"<figure>{chart}<figcaption>{shown(figures['name'])}</figcaption></figure>")
    if not parts:
        return ""
    text = (
        "Output of each layer against the float model's at the same latents, in dB, with all that went wrong before "
        "it; noise on the left, the finished image on the right. The last row is the noise prediction itself. Of qkv, "
        "q and k are compared: quantization may move the mean of v."
    )
    return f"<h2>Where the error arises</h2><p>{text}</p><div class=side>{''.join(parts)}</div>"


def _protocol(record: dict[str, Any]) -> str:
    facts = {**record["protocol"], "machine": record["machine"], **record["versions"]}
    rows = (f"<dt>{shown(str(key))}<dd>{shown(str(value))}" for key, value in facts.items())
    return f"<dl>{''.join(rows)}</dl>"
