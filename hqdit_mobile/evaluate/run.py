# SPDX-License-Identifier: Apache-2.0
"""The walk through all candidates: draw what is missing, compare, bring the processes' parts together."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hqdit_mobile.evaluate import noise
from hqdit_mobile.evaluate.candidates import Candidate, find_candidates, protocol_origin
from hqdit_mobile.evaluate.emoji import EmojiJudge, emoji_judge
from hqdit_mobile.evaluate.group import Group
from hqdit_mobile.evaluate.image_metrics import psnr_of_each, ssim_of_each
from hqdit_mobile.evaluate.protocol import CHUNK, Chunk, Protocol, chunks, classes_of
from hqdit_mobile.evaluate.shards import Store, require_same, write_whole
from hqdit_mobile.evaluate.subjects import Facts, Subject, TorchSubject
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.model.loading import LoadedModel, load_model
from hqdit_mobile.util.progress import Stages

ABOUT = "candidate.json"


@dataclass(frozen=True)
class Measured:
    """All that was found out about one candidate.

    Attributes:
        candidate: its name and kind.
        facts: bits per weight, megabytes and the like.
        images: for each chunk, its figures by name, [n, ...] with one entry an image.
        noise: for each sample, the energies of noise.noise_energies, [timesteps, ...].
        stored: where the images themselves lie.
        chunks: which images each file holds.
    """

    candidate: Candidate
    facts: Facts
    images: list[dict[str, np.ndarray]]
    noise: list[dict[str, np.ndarray]]
    stored: Store
    chunks: list[Chunk]

    def all_images(self, option: str) -> DrawnImages:
        """The candidate's images, read when they are asked for.

        Args:
            option: what wants them, for the message.

        Returns:
            n pictures, uint8 [H, W, 3] each.

        Raises:
            ValueError: other processes' folders hold a part of them.
        """
        names = [_images_name(chunk) for chunk in self.chunks]
        if missing := sum(not self.stored.has(name) for name in names):
            raise ValueError(
                f"{option}: {missing} of {len(names)} files of images of {self.candidate.name} are in other processes' "
                "folders: give all processes one folder, or run again with one process"
            )
        return DrawnImages(self.stored, self.chunks)

    def first_images(self) -> np.ndarray:
        """Those of the first file.

        Returns:
            uint8 [n, H, W, 3].
        """
        return self.stored.read(_images_name(self.chunks[0]))["images"]

    def column(self, name: str) -> np.ndarray:
        """One figure of every image.

        Args:
            name: of the figure, such as "psnr_db".

        Returns:
            [n, ...], in the order of the images.

        Raises:
            KeyError: it was not measured.
        """
        return np.concatenate([part[name] for part in self.images])


class DrawnImages(Sequence[np.ndarray]):
    """A candidate's images, uint8 [H, W, 3] each, with one file of them in memory: 50,000 of 256 pixels are 10 GB."""

    def __init__(self, stored: Store, parts: list[Chunk]):
        self.stored, self.parts = stored, parts
        self._file: tuple[str, np.ndarray] | None = None

    def __len__(self) -> int:
        return self.parts[-1].stop

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        chunk = self.parts[index // CHUNK]
        name = _images_name(chunk)
        if self._file is None or self._file[0] != name:
            self._file = name, self.stored.read(name)["images"]
        return self._file[1][index - chunk.start]


class Evaluation:
    def __init__(self, model: LoadedModel, protocol: Protocol, output: Path, group: Group, stages: Stages):
        self.model, self.protocol, self.output = model, protocol, output
        self.group, self.stages = group, stages
        self.judge: EmojiJudge | None = emoji_judge(model)
        self.labels = classes_of(range(protocol.samples), model.class_weights)
        self.reference: Store | None = None

    def measure(self, candidate: Candidate) -> Measured:
        """The float model has to be the first."""
        work = _Work(self, candidate)
        try:
            work.draw()
            work.compare_noise()
        finally:
            work.close()
        self.stages.begin(f"{candidate.name}: compare")
        own = {index: self._compared(work.store, chunk) for index, chunk in self.own_chunks()}
        images = self.group.gather(own)
        energies: dict[int, dict[str, np.ndarray]] = {}
        if candidate.kind == "float":
            self.reference = work.store
        else:
            energies = {i: work.store.read(_noise_name(i)) for i in self.own_noise_samples()}
            energies = self.group.gather(energies)
        parts = list(images.values()), list(energies.values())
        return Measured(candidate, work.facts, *parts, work.store, chunks(self.protocol.samples))

    def own_chunks(self) -> list[tuple[int, Chunk]]:
        return self.group.own(chunks(self.protocol.samples))

    def own_noise_samples(self) -> list[int]:
        return [seed for _, seed in self.group.own(range(self.protocol.noise_samples))]

    def _compared(self, store: Store, chunk: Chunk) -> dict[str, np.ndarray]:
        found = store.read(_images_name(chunk))
        images = found.pop("images")
        if self.reference is not None:
            expected = self.reference.read(_images_name(chunk))["images"]
            found |= {"psnr_db": psnr_of_each(expected, images), "ssim": ssim_of_each(expected, images)}
        return found


class _Work:
    """One candidate on the way: opened only when something is missing."""

    def __init__(self, evaluation: Evaluation, candidate: Candidate):
        self.evaluation, self.candidate = evaluation, candidate
        self.folder = evaluation.output / candidate.name
        self.subject: Subject | None = None
        protocol = evaluation.protocol
        origin = candidate.origin | protocol_origin(evaluation.model, protocol.steps, protocol.guidance_scale)
        self.origin = json.loads(json.dumps(origin))  # as it comes back from a file
        self.facts, fingerprint = self._recorded() or self._open()
        evaluation.group.agree(json.dumps(fingerprint, sort_keys=True), f"{candidate.name}")
        self.store = Store(self.folder, fingerprint)
        self._record(fingerprint)

    def _recorded(self) -> tuple[Facts, dict[str, Any]] | None:
        """What an earlier run wrote about the same candidate."""
        path = self.folder / ABOUT
        if not path.is_file():
            return None
        about = json.loads(path.read_text())
        return (Facts(**about["facts"]), about["fingerprint"]) if about["origin"] == self.origin else None

    def _open(self) -> tuple[Facts, dict[str, Any]]:
        self.evaluation.stages.begin(f"{self.candidate.name}: open")
        self.subject = self.candidate.open(self.evaluation.stages)
        # Sources may change and the model that they make stay the same: then what was drawn is still good.
        fingerprint = {key: value for key, value in self.origin.items() if key != "sources"}
        return self.subject.facts(), {**fingerprint, "weights": self.subject.digest()}

    def _record(self, fingerprint: dict[str, Any]) -> None:
        if self.evaluation.group.rank == 0:
            about = {"origin": self.origin, "fingerprint": fingerprint, "facts": asdict(self.facts)}
            write_whole(self.folder / ABOUT, json.dumps(about, indent=2).encode())

    def opened(self) -> Subject:
        if self.subject is None:
            _, fingerprint = self._open()
            require_same(self.folder / ABOUT, fingerprint, self.store.fingerprint)
        assert self.subject is not None
        return self.subject

    def draw(self) -> None:
        evaluation, stages = self.evaluation, self.evaluation.stages
        missing = [chunk for _, chunk in evaluation.own_chunks() if not self.store.has(_images_name(chunk))]
        if not missing:
            return
        subject = self.opened()
        stages.begin(f"{self.candidate.name}: draw", sum(len(chunk.seeds) for chunk in missing))
        for chunk in missing:
            labels = evaluation.labels[chunk.start : chunk.stop]
            started = time.perf_counter()
            images = subject.draw(chunk.seeds, labels, stages.advance)
            seconds = np.full(len(images), (time.perf_counter() - started) / len(images))
            judged = {} if evaluation.judge is None else evaluation.judge.judge(images, labels)
            self.store.write(_images_name(chunk), images=images, seconds=seconds, **judged)

    def compare_noise(self) -> None:
        evaluation, stages = self.evaluation, self.evaluation.stages
        missing = [seed for seed in evaluation.own_noise_samples() if not self.store.has(_noise_name(seed))]
        if not missing:
            return
        subject = self.opened()
        stages.begin(f"{self.candidate.name}: noise predictions", len(missing))
        for seed in missing:
            label = evaluation.labels[seed]
            if isinstance(subject, TorchSubject) and self.candidate.kind == "float":
                found = noise.reference_noise(subject, seed, label)
            else:
                assert evaluation.reference is not None
                expected = evaluation.reference.read(_noise_name(seed))
                found = noise.noise_energies(evaluation.model.dit, subject, expected, label)
            self.store.write(_noise_name(seed), **found)
            stages.advance()

    def close(self) -> None:
        if self.subject is not None:
            self.subject.close()
            self.subject = None


def _images_name(chunk: Chunk) -> str:
    return f"images-{chunk.start:06d}-{chunk.stop:06d}"


def _noise_name(seed: int) -> str:
    return f"noise-{seed:06d}"


def load_float_model(spec: str, vae: str | None, given: Given | None = None) -> LoadedModel:
    """The model as an export sees it, on the GPU if there is one.

    Args:
        spec: as ``load_model`` takes it.
        vae: as ``load_model`` takes it.
        given: what a checkpoint does not say itself.

    Returns:
        The float32 model, without the rows of the last layer that predict a variance.

    Raises:
        CheckpointError: or what else ``load_model`` raises.
    """
    model = load_model(spec, vae, given=given)
    model.dit.drop_learned_sigma_()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.dit.to(device)
    model.vae.to(device)
    return model


def evaluate_candidates(
    specs: list[str], model: LoadedModel, protocol: Protocol, output: Path, group: Group, stages: Stages
) -> list[Measured]:
    """Draws and measures every candidate (docs/quality.md has the figures).

    Args:
        specs: bundles' folders, names of recipes and baselines, or "float".
        model: of ``load_float_model``.
        protocol: which images.
        output: keeps what is finished; a stopped run goes on from it.
        group: of ``process_group``: the processes that share the work.
        stages: shows how far it is.

    Returns:
        One entry for each candidate, the float model first; complete at rank 0 alone.

    Raises:
        ValueError: a candidate is not known or does not fit the model, or the processes do not agree.
        StaleError: ``output`` holds images of something else.
        EngineError: a bundle cannot be drawn with.
    """
    candidates = find_candidates(specs, model, protocol.steps, protocol.guidance_scale)
    output.mkdir(parents=True, exist_ok=True)
    evaluation = Evaluation(model, protocol, output, group, stages)
    return [evaluation.measure(candidate) for candidate in candidates]
