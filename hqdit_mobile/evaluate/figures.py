# SPDX-License-Identifier: Apache-2.0
"""The figures in the order in which tables show them: key in the record, heading, format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    key: str
    short: str
    meaning: str
    text: str

    def cell(self, figures: dict[str, Any]) -> str:
        value = figures.get(self.key)
        if value is None:
            return "equal" if self.key in figures else ""
        return self.text.format(value)

    def interval(self, figures: dict[str, Any]) -> str:
        limits = figures.get(f"{self.key}_interval")
        return "" if limits is None or None in limits else " to ".join(self.text.format(limit) for limit in limits)


COLUMNS = (
    Column(
        "eps_snr_db", "eps dB", "SNR of the noise prediction against the float model's, mean over timesteps", "{:.1f}"
    ),
    Column("psnr_db", "PSNR", "PSNR in dB against the float model's image of the same seed", "{:.1f}"),
    Column("ssim", "SSIM", "structural similarity to the float model's image of the same seed", "{:.3f}"),
    Column("fd_float", "FD float", "Frechet distance to the float model's images", "{:.3f}"),
    Column("fd_train", "FD train", "Frechet distance to the training images", "{:.3f}"),
    Column("semantic", "class", "share of images whose kind the classifier recognises", "{:.3f}"),
    Column("style", "style", "share of images whose drawing style the classifier recognises", "{:.3f}"),
    Column("fid", "FID", "Frechet Inception distance to the reference images", "{:.2f}"),
    Column("inception_score", "IS", "Inception score, mean of ten parts", "{:.2f}"),
    Column("precision", "prec.", "share of images that lie among the reference images' Inception features", "{:.3f}"),
    Column("recall", "recall", "share of the reference images that lie among the images' features", "{:.3f}"),
    Column("weight_bits", "bits", "stored bits per weight of the quantized layers", "{:.2f}"),
    Column("a4_share", "A4", "share of the linear layers' multiply-adds that have 4-bit activations", "{:.3f}"),
    Column("megabytes", "MB", "size of the transformer, 10^6 bytes", "{:.1f}"),
    Column("seconds_per_image", "s/img", "seconds per image on the machine that drew it, median", "{:.2f}"),
)


def used_columns(candidates: list[dict[str, Any]]) -> list[Column]:
    return [column for column in COLUMNS if any(column.key in figures for figures in candidates)]
