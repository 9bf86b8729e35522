# SPDX-License-Identifier: Apache-2.0
"""The whole record of an evaluation: what was run, on what, and the figures of every candidate."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch

from hqdit_mobile.diffusion.plan import plan
from hqdit_mobile.evaluate.protocol import LABEL_KEY, Protocol, classes_of, noise_timesteps
from hqdit_mobile.evaluate.report import report_page
from hqdit_mobile.evaluate.run import Measured
from hqdit_mobile.evaluate.summary import json_ready, summarize
from hqdit_mobile.model.loading import LoadedModel

LABELS = f"class of image i: word 0 of Philox4x32-10, counter (i, 0, 0, 0), key {LABEL_KEY}, scaled to "


PICTURES = 8  # of each candidate in the report


def make_page(record: dict[str, Any], measured: list[Measured], model: LoadedModel) -> str:
    """The report of a record, with the first images of each candidate."""
    images = {part.candidate.name: part.first_images()[:PICTURES] for part in measured}
    classes = classes_of(range(len(images["float"])), model.class_weights)
    return report_page(record, images, [model.labels[i] for i in classes])


def make_record(measured: list[Measured], model: LoadedModel, protocol: Protocol, command: str) -> dict[str, Any]:
    """The figures of an evaluation with what they are of: what ``hqdit evaluate --json`` writes.

    Args:
        measured: of ``evaluate_candidates``, at rank 0.
        model: the float model.
        protocol: which images.
        command: the one to repeat it, or what stands for it.

    Returns:
        An object for ``json.dumps``; docs/quality.md has its keys and their units.

    Raises:
        KeyError: ``measured`` is not complete, as at ranks other than 0.
    """
    timesteps = noise_timesteps([step.time for step in plan(model.process, protocol.steps)])
    reference, layers = measured[0], model.dit.recipe_layers()
    figures = [summarize(part, reference, timesteps, layers) for part in measured]
    notes = []
    if "features" not in reference.images[0]:
        notes.append(f"No Frechet distances or accuracies: the classifier that ships here knows emoji-dit's classes "
                     f"only, not those of {model.name}.")  # fmt: skip
    notes += [f"{f['name']} has no SNR per layer: a bundle gives noise predictions, not its layers' outputs."
              for f in figures if f["kind"] == "bundle"]  # fmt: skip
    record: dict[str, Any] = json_ready(
        {
            "command": command,
            "model": model.source,
            "protocol": {
                **asdict(protocol),
                "scheduler": "ddim",
                "seeds": "image i has seed i",
                "labels": LABELS + ("the training images" if model.train_counts else "the classes"),
            },
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
            "versions": {tool: version(tool) for tool in ("hqdit-mobile", "torch", "numpy")},
            "notes": notes,
            "candidates": figures,
        }
    )
    return record
