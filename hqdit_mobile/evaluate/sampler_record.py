# SPDX-License-Identifier: Apache-2.0
"""Figures of samplers with intervals, as the record that --json writes and as a plot against network evaluations."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hqdit_mobile.evaluate.bootstrap import (
    RESAMPLES_OF_A_DISTANCE,
    centred_interval,
    mean_interval,
    resampled,
)
from hqdit_mobile.evaluate.emoji_eval import FeatureStatistics, frechet_distance, training_gaussian
from hqdit_mobile.evaluate.record import LABELS
from hqdit_mobile.evaluate.samplers import TIMES, Drawn
from hqdit_mobile.evaluate.summary import MOST_DB
from hqdit_mobile.util.atomic_write import whole_file


def make_sampler_record(
    drawn: Sequence[Drawn], name: str, samples: int, guidance_scale: float, command: str
) -> dict[str, Any]:
    """What --json writes. The first sampler is the one that the others are compared with."""
    notes, spreads = [], list[np.ndarray]()
    if "features" in drawn[0].parts[0]:
        spreads = [_distances(one.column("features")) for one in drawn]
    else:
        notes.append(f"No Frechet distances: the classifier that ships here does not know the classes of {name}.")
    return {
        "command": command,
        "model": name,
        "protocol": {"samples": samples, "guidance_scale": guidance_scale, "seeds": "image i has seed i",
                     "labels": LABELS + ("the training images" if spreads else "the classes")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {tool: version(tool) for tool in ("hqdit-mobile", "numpy")},
        "notes": notes,
        "samplers": [_figures(one, drawn[0], spreads, index) for index, one in enumerate(drawn)],
    }  # fmt: skip


def _figures(one: Drawn, first: Drawn, spreads: list[np.ndarray], index: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"name": one.sampler.name, **asdict(one.sampler)}
    figures["evaluations"] = float(one.column("evaluations").mean())
    if spreads:
        distance, anchor = spreads[index][0], spreads[0][0]
        figures |= {"fd_train": distance, "fd_train_interval": centred_interval(distance, spreads[index][1:])}
        if one is not first:
            # The same redraws of both, so that what seeds and classes have in common falls out of the difference.
            change = distance - anchor
            figures["fd_train_change"] = change
            figures["fd_train_change_interval"] = centred_interval(change, spreads[index][1:] - spreads[0][1:])
        for name in ("semantic", "style"):
            values = one.column(name)
            figures |= {name: float(values.mean()), f"{name}_interval": mean_interval(values)}
    if one is not first:
        figures["psnr_db"] = float(one.column("psnr_db").clip(max=MOST_DB).mean())
    # The median is not moved by what else the machine did for a while.
    return figures | {name: float(np.median(one.column(name))) for name in TIMES}


def _distances(features: np.ndarray) -> np.ndarray:
    """The distance to the training images, then those of the redraws."""
    training = training_gaussian()

    def distance(rows: np.ndarray | slice) -> float:
        statistics = FeatureStatistics.empty()
        statistics.add(features[rows])
        return frechet_distance(statistics.gaussian(), training)

    redrawn = resampled(distance, len(features), RESAMPLES_OF_A_DISTANCE)
    return np.concatenate([[distance(slice(None))], redrawn])


def write_sampler_plot(path: Path, record: dict[str, Any]) -> None:
    """A PNG: the distance to the training images, or else the PSNR to the first sampler's, against evaluations."""
    from matplotlib.figure import Figure

    samplers = record["samplers"]
    key, label = ("fd_train", "Frechet distance to the training images")
    if key not in samplers[0]:
        key, label, samplers = "psnr_db", f"PSNR to {samplers[0]['name']}, dB", samplers[1:]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for scheduler in dict.fromkeys(sampler["scheduler"] for sampler in samplers):
        chosen = [sampler for sampler in samplers if sampler["scheduler"] == scheduler]
        x, y = ([sampler[name] for sampler in chosen] for name in ("evaluations", key))
        limits = np.array([sampler.get(f"{key}_interval", (sampler[key],) * 2) for sampler in chosen])
        axes.errorbar(x, y, yerr=np.abs(limits.T - y), fmt="o", capsize=3, label=scheduler)
        for sampler in chosen:
            text = sampler["name"].removeprefix(f"{scheduler} ")
            place = sampler["evaluations"], sampler[key]
            axes.annotate(text, place, xytext=(6, 4), textcoords="offset points", fontsize=8)
    axes.set_xlabel("network evaluations per image (a guided step counts 2)")
    axes.set_ylabel(label)
    axes.set_title(f"{record['model']}, {record['protocol']['samples']} images, 95 % intervals", fontsize=10)
    axes.set_xlim(left=0)
    axes.legend()
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
