# SPDX-License-Identifier: Apache-2.0
"""What can be evaluated: a bundle's folder, the float model, or a recipe that quantizes the model here and now."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hqdit_mobile.evaluate.baselines import BASELINES, quantize_baseline_
from hqdit_mobile.evaluate.digests import sources_digest, state_digest
from hqdit_mobile.evaluate.subjects import BundleSubject, Subject, TorchSubject
from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.quantize.calibration import suited_to
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.job import quantize_
from hqdit_mobile.quantize.recipes import RECIPES, recipe
from hqdit_mobile.runtime.manifest import MANIFEST, BundleError
from hqdit_mobile.runtime.manifest_file import read_manifest
from hqdit_mobile.util.progress import Stages

FLOAT = "float"


@dataclass(frozen=True)
class Candidate:
    """``origin`` is all that decides its bits, cheap to know; ``open`` loads or quantizes it."""

    name: str
    kind: str
    origin: dict[str, Any]
    open: Callable[[Stages], Subject]


def check_specs(specs: Sequence[str]) -> None:
    """Raises ValueError for what is no candidate, before a model is loaded."""
    known = [FLOAT, *RECIPES, *BASELINES]
    for spec in specs:
        if spec not in known and not (Path(spec) / MANIFEST).is_file():
            raise ValueError(f"{spec!r} is neither a bundle (a folder with {MANIFEST}) nor one of {', '.join(known)}")


def find_candidates(specs: Sequence[str], model: LoadedModel, steps: int, guidance_scale: float) -> list[Candidate]:
    """The float model first, asked for or not: the others are compared with it. Raises ValueError for what is none."""
    check_specs(specs)
    candidates = [_float(model, steps, guidance_scale)]
    for spec in specs:
        if spec == FLOAT:
            continue
        if spec in RECIPES:
            candidates.append(_recipe(spec, model, steps, guidance_scale))
        elif spec in BASELINES:
            candidates.append(_baseline(spec, model, steps, guidance_scale))
        else:
            candidates.append(_bundle(Path(spec), model, steps, guidance_scale))
    names = [candidate.name for candidate in candidates]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two candidates are called {', '.join(sorted(twice))}: rename a bundle's folder")
    return candidates


def _float(model: LoadedModel, steps: int, guidance_scale: float) -> Candidate:
    origin = {"kind": FLOAT, **_drawing(model)}
    return Candidate(FLOAT, FLOAT, origin, lambda _: TorchSubject(model, model.dit, steps, guidance_scale))


def _recipe(name: str, model: LoadedModel, steps: int, guidance_scale: float) -> Candidate:
    config = suited_to(recipe(name), model.dit)

    def quantized(stages: Stages) -> Subject:
        dit = copy.deepcopy(model.dit).cpu()
        quantize_(dit, config, model.process, stages)
        return TorchSubject(model, dit, steps, guidance_scale)

    # A version does not change while somebody works on the quantizer; its sources do.
    origin = {
        "kind": "recipe",
        "config": asdict(config),
        "sources": sources_digest("hqdit_mobile.quantize.job"),
        **_drawing(model),
    }
    return Candidate(name, "recipe", origin, quantized)


def _baseline(name: str, model: LoadedModel, steps: int, guidance_scale: float) -> Candidate:
    config = suited_to(HQDiTConfig(), model.dit)

    def quantized(_stages: Stages) -> Subject:
        dit = copy.deepcopy(model.dit).cpu()
        quantize_baseline_(dit, name, config, model.process)
        return TorchSubject(model, dit, steps, guidance_scale)

    origin = {
        "kind": "baseline",
        "config": asdict(config),
        "sources": sources_digest("hqdit_mobile.evaluate.baselines"),
    }
    origin |= _drawing(model)
    return Candidate(name, "baseline", origin, quantized)


def _bundle(folder: Path, model: LoadedModel, steps: int, guidance_scale: float) -> Candidate:
    manifest = read_manifest(folder)
    ours = [*model.latent_shape], model.image_size, model.dit.config.num_classes, model.dit.null_label
    described = manifest.model
    theirs = [*described.latent_shape], described.image_shape[-1], described.num_classes, described.null_label
    if ours != theirs:
        raise ValueError(
            f"{folder} was not made from {model.name}: latents, image size, classes and null label are {theirs}, "
            f"not {ours}; give its own --model"
        )
    if different := manifest.process.build().differences(model.process):
        raise ValueError(
            f"{folder} and {model.name} differ in what their networks predict: process.{', process.'.join(different)}; "
            "give the bundle's own --model and --family"
        )
    if manifest.made_from(folder)[1].a4_share is None:
        raise BundleError(f"{folder / MANIFEST} has no quantization.a4_share: export the bundle again")
    digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    origin = {"kind": "bundle", "manifest": digest, "runtime": manifest.runtime}
    return Candidate(
        folder.resolve().name, "bundle", origin, lambda _: BundleSubject(folder, manifest, steps, guidance_scale)
    )


def _drawing(model: LoadedModel) -> dict[str, Any]:
    return {
        "model": state_digest(model.dit),
        "decoder": state_digest(model.vae),
        "device": next(model.dit.parameters()).device.type,
        "torch": torch.__version__,
    }


def protocol_origin(model: LoadedModel, steps: int, guidance_scale: float) -> dict[str, Any]:
    """What every candidate's images depend on."""
    return {
        "hqdit-mobile": version("hqdit-mobile"),
        "steps": steps,
        "guidance_scale": guidance_scale,
        "class_weights": model.class_weights,
        "process": model.process.to_json(),
    }
