# SPDX-License-Identifier: Apache-2.0
"""From measurements to figures with intervals: the record that --json writes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hqdit_mobile.evaluate.bootstrap import (
    RESAMPLES,
    RESAMPLES_OF_A_DISTANCE,
    centred_interval,
    interval,
    mean_interval,
    resampled,
)
from hqdit_mobile.evaluate.emoji_eval import FeatureStatistics, frechet_distance, training_gaussian
from hqdit_mobile.evaluate.noise import decibels
from hqdit_mobile.evaluate.run import Measured

Figures = dict[str, Any]
MOST_DB = 100.0  # of one image: equal images have no PSNR, and a mean needs one


def summarize(measured: Measured, reference: Measured, timesteps: list[float], layers: list[str]) -> Figures:
    """Figures of one candidate; those that it cannot have are absent. Each ``NAME_interval`` has 95 % of NAME's
    bootstrap."""
    facts = measured.facts
    figures: Figures = {"name": measured.candidate.name, "kind": measured.candidate.kind, "runtime": facts.runtime}
    if measured is not reference:
        figures |= _noise_figures(measured, timesteps, layers) | _pixel_figures(measured)
    if "features" in measured.images[0]:
        figures |= _emoji_figures(measured, reference)
    figures |= {"weight_bits": facts.weight_bits, "a4_share": facts.a4_share, "megabytes": facts.megabytes}
    # The median is not moved by what else the machine did for a while.
    figures["seconds_per_image"] = float(np.median(measured.column("seconds")))
    return figures


def _noise_figures(measured: Measured, timesteps: list[float], layers: list[str]) -> Figures:
    signal, error = (np.array([sample[key] for sample in measured.noise]) for key in ("signal", "error"))  # (n, T)

    def mean_snr(rows: np.ndarray) -> float:
        return float(decibels(signal[rows].sum(axis=0), error[rows].sum(axis=0)).mean())

    everything = np.arange(len(signal))
    per_timestep = decibels(signal.sum(axis=0), error.sum(axis=0)).tolist()
    figures: Figures = {
        "eps_snr_db": mean_snr(everything),
        "eps_snr_db_interval": interval(resampled(mean_snr, len(signal), RESAMPLES)),
        "eps_snr_db_by_timestep": {f"{t:g}": value for t, value in zip(timesteps, per_timestep, strict=True)},
    }
    if "layer_signal" in measured.noise[0]:
        signals, errors = (
            np.sum([sample[key] for sample in measured.noise], axis=0) for key in ("layer_signal", "layer_error")
        )
        figures["layer_snr_db"] = dict(zip(layers, decibels(signals, errors).tolist(), strict=True))
    return figures


def _pixel_figures(measured: Measured) -> Figures:
    psnr, ssim = measured.column("psnr_db").clip(max=MOST_DB), measured.column("ssim")
    return {**_mean("psnr_db", psnr), **_mean("ssim", ssim)}


def _emoji_figures(measured: Measured, reference: Measured) -> Figures:
    figures = {**_mean("semantic", measured.column("semantic")), **_mean("style", measured.column("style"))}
    features, training = measured.column("features"), training_gaussian()
    ours = _exact_statistics(measured).gaussian()

    def to_training(rows: np.ndarray) -> float:
        return frechet_distance(_gaussian(features[rows]), training)

    figures |= _distance("fd_train", frechet_distance(ours, training), to_training, len(features))
    if measured is reference:
        return figures
    of_float = reference.column("features")

    def to_float(rows: np.ndarray) -> float:
        # The same images of both: what pairs them stays in.
        return frechet_distance(_gaussian(features[rows]), _gaussian(of_float[rows]))

    value = frechet_distance(ours, _exact_statistics(reference).gaussian())
    return figures | _distance("fd_float", value, to_float, len(features))


def _exact_statistics(measured: Measured) -> FeatureStatistics:
    """Added chunk by chunk: the same sums however many processes drew the chunks."""
    statistics = FeatureStatistics.empty()
    for part in measured.images:
        statistics.add(part["features"])
    return statistics


def _gaussian(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    statistics = FeatureStatistics.empty()
    statistics.add(features)
    return statistics.gaussian()


def _distance(name: str, value: float, figure: Callable[[np.ndarray], float], images: int) -> Figures:
    spread = resampled(figure, images, RESAMPLES_OF_A_DISTANCE)
    return {name: value, f"{name}_interval": centred_interval(value, spread)}


def _mean(name: str, values: np.ndarray) -> Figures:
    return {name: float(values.mean()), f"{name}_interval": mean_interval(values)}


def json_ready(value: Any) -> Any:
    """JSON has no infinity: the SNR of what is equal becomes null."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
