# SPDX-License-Identifier: Apache-2.0
"""Quantizes a model in several recipes, draws the same pictures with each, and plots them beside their figures.

    python examples/python/compare.py -m builtin:emoji-dit -o comparison w4a8 w4a4

Writes comparison/pictures.png, a row for the float model and one for each recipe, and comparison/quality.png, the
pictures' PSNR to the float model's against the size of the weights.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot
from PIL import Image

from hqdit_mobile import LoadedModel, load_model, quantize_
from hqdit_mobile.diffusion.trajectory import initial_noise, sample_latents
from hqdit_mobile.quantize.recipes import RECIPES, recipe
from hqdit_mobile.util.metrics import psnr_db
from hqdit_mobile.util.pictures import to_rgb

GUIDANCE_SCALE = 4.0


def draw(model: LoadedModel, labels: list[int], steps: int) -> np.ndarray:
    """One picture a label, of seeds 0, 1, ...: uint8 [n, H, W, 3]."""
    pictures = []
    for seed, label in enumerate(labels):
        noise = initial_noise(model.latent_shape, seed)
        latents = sample_latents(model.dit, model.process, noise, torch.tensor([label]), steps, GUIDANCE_SCALE)
        pictures.append(np.asarray(to_rgb(model.decode(latents)[0])))
    return np.stack(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", choices=list(RECIPES), metavar="RECIPE", help=", ".join(RECIPES))
    parser.add_argument("-m", "--model", default="builtin:emoji-dit")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--calibration-samples", type=int, default=8)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    model = load_model(arguments.model)
    labels = [i * len(model.labels) // arguments.pictures for i in range(arguments.pictures)]
    rows = [draw(model, labels, arguments.steps)]
    figures = {}
    for name in arguments.recipes:
        quantized = replace(model, dit=copy.deepcopy(model.dit))
        config = replace(recipe(name), calibration_samples=arguments.calibration_samples)
        report = quantize_(quantized.dit, config, model.process)
        rows.append(draw(quantized, labels, arguments.steps))
        psnr = float(np.mean([psnr_db(a, b) for a, b in zip(rows[0], rows[-1], strict=True)]))
        figures[name] = (report.bits_per_weight, psnr)
        print(f"{name}: {report.bits_per_weight:.2f} bits a weight, {psnr:.1f} dB PSNR to the float model")

    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    Image.fromarray(sheet).save(arguments.output / "pictures.png")
    figure, axes = pyplot.subplots(figsize=(5, 4))
    for name, (bits, psnr) in figures.items():
        axes.scatter(bits, psnr)
        axes.annotate(name, (bits, psnr), xytext=(5, 5), textcoords="offset points")
    axes.set(xlabel="stored bits per weight", ylabel="PSNR to the float model's pictures, dB")
    figure.tight_layout()
    figure.savefig(arguments.output / "quality.png", dpi=120)


if __name__ == "__main__":
    main()
