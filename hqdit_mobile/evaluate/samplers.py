# SPDX-License-Identifier: Apache-2.0
"""What a bundle draws with one sampler and another: the same seeds and classes with each, stored as they come."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from hqdit_mobile.diffusion.process import SPACINGS
from hqdit_mobile.evaluate.emoji import EmojiJudge, class_weights_of, judge_of_labels
from hqdit_mobile.evaluate.group import Group
from hqdit_mobile.evaluate.protocol import Chunk, chunks, classes_of
from hqdit_mobile.evaluate.shards import Store
from hqdit_mobile.runtime.engine import SCHEDULERS
from hqdit_mobile.runtime.manifest import Manifest
from hqdit_mobile.runtime.manifest_file import read_manifest
from hqdit_mobile.runtime.open_bundle import open_bundle
from hqdit_mobile.util.progress import Stages

FORM = "SCHEDULER:STEPS[:SPACING][:LOW-HIGH], such as ddim:50 or dpm-solver++:15:trailing:0.1-0.8"
TIMES = ("denoise_ms", "decode_ms")


@dataclass(frozen=True)
class Sampler:
    """``guidance_interval``: of noise levels, 0 to 1, as the engine takes it."""

    scheduler: str
    steps: int
    spacing: str
    guidance_interval: tuple[float, float] = (0.0, 1.0)

    @property
    def name(self) -> str:
        low, high = self.guidance_interval
        guided = "" if (low, high) == (0, 1) else f" guided {low:g}-{high:g}"
        return f"{self.scheduler} {self.steps} {self.spacing}{guided}"


def parse_sampler(text: str, spacing: str) -> Sampler:
    """Reads FORM; ``spacing`` is that of a sampler that names none. Raises ValueError for what is none."""
    scheduler, *rest = text.split(":")
    if scheduler not in SCHEDULERS or not rest or not rest[0].isdecimal() or int(rest[0]) < 1:
        raise ValueError(f"{text!r} is no sampler: write {FORM}; schedulers: {', '.join(SCHEDULERS)}")
    interval = (0.0, 1.0)
    for word in rest[1:]:
        numbers = re.fullmatch(r"(\d(?:\.\d+)?)-(\d(?:\.\d+)?)", word)
        if numbers:
            interval = float(numbers[1]), float(numbers[2])
        elif word in SPACINGS:
            spacing = word
        else:
            raise ValueError(f"{text!r}: {word!r} is neither an interval nor one of {', '.join(SPACINGS)}")
    if not 0 <= interval[0] <= interval[1] <= 1:
        raise ValueError(f"{text!r}: the interval must lie in 0-1, low before high")
    return Sampler(scheduler, int(rest[0]), spacing, interval)


@dataclass(frozen=True)
class Drawn:
    """One sampler's pictures. parts: arrays by picture, a dict for each chunk, without the pictures themselves."""

    sampler: Sampler
    parts: list[dict[str, np.ndarray]]
    stored: Store
    first: Chunk

    def column(self, name: str) -> np.ndarray:
        return np.concatenate([part[name] for part in self.parts])

    def first_images(self) -> np.ndarray:
        """uint8 [n, H, W, 3]."""
        return self.stored.read(_name(self.first))["images"]


def draw_samplers(
    bundle: Path, samplers: Sequence[Sampler], samples: int, guidance_scale: float, output: Path, group: Group,
    stages: Stages,
) -> list[Drawn]:  # fmt: skip
    """Draws images 0 .. samples - 1 with every sampler, those that ``output`` does not hold; complete at rank 0.

    Raises BundleError, EngineError, or StaleError if ``output`` holds something else.
    """
    manifest = read_manifest(bundle)
    twice = {sampler.name for sampler in samplers if samplers.count(sampler) > 1}
    if twice:
        raise ValueError(f"given twice: {', '.join(sorted(twice))}")
    stores = [Store(output / s.name.replace(" ", "_"), _fingerprint(manifest, s, guidance_scale)) for s in samplers]
    group.agree(str([store.fingerprint for store in stores]), "the samplers")
    work = list(group.own(chunks(samples)))
    missing = [(c, s, store) for _, c in work for s, store in zip(samplers, stores, strict=True)
               if not store.has(_name(c))]  # fmt: skip
    if missing:
        weights = class_weights_of(manifest.labels)
        stages.begin("Draw", sum(len(chunk.seeds) for chunk, _, _ in missing))
        judge = judge_of_labels(manifest.labels, manifest.model.image_shape[-1], torch.device("cpu"))
        with open_bundle(bundle, threads=torch.get_num_threads()) as pipeline:
            # Chunk by chunk: other work on the machine then slows every sampler alike.
            for chunk, sampler, store in missing:
                arrays = _draw(pipeline, chunk, sampler, guidance_scale, weights, judge)
                store.write(_name(chunk), **arrays)
                stages.advance(len(chunk.seeds))
    stages.begin("Read")
    first = chunks(samples)[0]
    return [
        Drawn(s, list(group.gather({i: _read(store, stores[0], c) for i, c in work}).values()), store, first)
        for s, store in zip(samplers, stores, strict=True)
    ]


def _fingerprint(manifest: Manifest, sampler: Sampler, guidance_scale: float) -> dict[str, Any]:
    # As it is read back: JSON has no tuples.
    about = {key: json.loads(msgspec.json.encode(getattr(manifest, key))) for key in ("runtime", "model", "process")}
    weights = {name: entry.sha256 for name, entry in manifest.files.items()}
    about["class_weights"] = class_weights_of(manifest.labels)
    drawn = {"sampler": sampler.name, "guidance_scale": guidance_scale, "hqdit-mobile": version("hqdit-mobile")}
    return {"weights": weights, **about, **drawn}


def _draw(
    pipeline: Any, chunk: Chunk, sampler: Sampler, guidance_scale: float, weights: list[int], judge: EmojiJudge | None
) -> dict[str, np.ndarray]:
    labels = classes_of(chunk.seeds, weights)
    settings = asdict(sampler) | {"guidance_scale": guidance_scale}
    drawn = [
        pipeline.generate_batch(label, [seed], **settings) for seed, label in zip(chunk.seeds, labels, strict=True)
    ]
    images = np.concatenate([one.images for one in drawn])
    figures = {name: np.array([getattr(one, name) for one in drawn]) for name in ("evaluations", *TIMES)}
    return {"images": images, **figures, **({} if judge is None else judge.judge(images, labels))}


def _read(store: Store, reference: Store, chunk: Chunk) -> dict[str, np.ndarray]:
    from hqdit_mobile.evaluate.image_metrics import psnr_of_each

    found = store.read(_name(chunk))
    images = found.pop("images")
    if store is not reference:
        found["psnr_db"] = psnr_of_each(reference.read(_name(chunk))["images"], images)
    return found


def _name(chunk: Chunk) -> str:
    return f"images-{chunk.start:06d}-{chunk.stop:06d}"
