# SPDX-License-Identifier: Apache-2.0
"""The families of models that can be exported, and how a checkpoint tells to which it belongs.

SiT, REPA and fast-DiT keep the names and shapes of DiT's tensors, so a state dict alone does not tell them apart; a
SiT that is sampled like a DiT draws noise. The arguments of the training run say it, REPA's projectors do, and the file
names under which DiT and SiT are published; else the user must.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hqdit_mobile.diffusion.process import Flow, Process
from hqdit_mobile.model.checkpoints.facebook import PROJECTORS, Source, dit_from_facebook
from hqdit_mobile.model.checkpoints.reading import CheckpointError, one_line
from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.model.network import Network

_PUBLISHED = re.compile(r"(DiT|SiT)-XL-2-(256x256|512x512)\.pt")
_REPA_ARGUMENTS = ("enc_type", "proj_coeff")
_SIT_ARGUMENTS = ("path_type", "prediction")


def family_of(source: Source) -> ModelFamily:
    """The family of a checkpoint in facebookresearch's names; notes what told it where that is a file name.

    Raises CheckpointError where nothing does, or where the user contradicts the file.
    """
    said, why = _evidence(source.file, source.arguments, source.state)
    given = source.given.family
    if given is not None and given not in FAMILIES:
        raise CheckpointError(f"there is no family {given!r}; known are {', '.join(FAMILIES)}")
    if given is not None and said is not None and given != said:
        raise CheckpointError(f"--family {given} contradicts {why}, which says {said}")
    family = given or said
    if family is None:
        raise CheckpointError(
            f"{source.file.name} does not say what it predicts: DiT, SiT and REPA have the same tensors; give --family "
            f"with one of {', '.join(FAMILIES)}"
        )
    if said is not None and given is None:
        source.notes.append(f"family {said}, by {why}")
    return FAMILIES[family]


def read_network(source: Source, streamed: bool) -> Network:
    """The network of a checkpoint; where nothing tells the family, a DiT, whose tensors most have: what is wrong with
    them is said before what they do not say."""
    said, _ = _evidence(source.file, source.arguments, source.state)
    return FAMILIES.get(source.given.family or said or "dit", FAMILIES["dit"]).read(source, streamed)


def _evidence(file: Path, arguments: Mapping[str, Any], state: Mapping[str, Any]) -> tuple[str | None, str]:
    """(family, what says so)."""
    if any(name.startswith(PROJECTORS) for name in state):
        return "repa", f"its tensors {PROJECTORS}*"
    for name in _REPA_ARGUMENTS:
        if arguments.get(name) is not None:
            return "repa", f"its argument {name!r}"
    for name in _SIT_ARGUMENTS:
        if arguments.get(name) is not None:
            return "sit", f"its argument {name!r}"
    model = arguments.get("model")
    for start, family in (("DiT", "dit"), ("SiT", "sit")):
        if isinstance(model, str) and model.startswith(start):
            return family, f"its argument model {one_line(repr(model), 40)}"
    if match := _PUBLISHED.fullmatch(file.name):
        return match[1].lower(), "its name, under which it is published"
    return None, ""


@dataclass(frozen=True)
class ModelFamily:
    """What the toolchain knows of a kind of model.

    network: its class, which says what conditions it takes and what its layers are (network.py); config: of its sizes.
    read: a checkpoint in the names of its authors -> the network; streamed or not.
    process: how such a checkpoint is drawn, as its training arguments say, or as the published ones are. Raises
        CheckpointError for paths and predictions that are not supported.
    """

    name: str
    about: str
    process: Callable[[Source], Process]
    network: type[Network] = DiT
    config: type = DiTConfig
    read: Callable[[Source, bool], Network] = dit_from_facebook


def _diffusion(source: Source) -> Process:
    return Process(guided_channels=min(3, _channels(source)))


def _channels(source: Source) -> int:
    return source.state["x_embedder.proj.weight"].shape[1]


def _flow(source: Source, family: str) -> Process:
    channels = _channels(source)
    path, prediction = (source.arguments.get(name) for name in _SIT_ARGUMENTS)
    interpolation = _known("path_type", path or "linear", {"linear": "linear", "gvp": "gvp", "cosine": "gvp"})
    names = {"velocity": "velocity", "v": "velocity", "noise": "epsilon", "score": "score"}
    predicts = _known("prediction", prediction or "velocity", names)
    if path is None or prediction is None:
        source.notes.append(f"taken as published {family.upper()}: path {interpolation}, prediction {predicts}")
    # Predictions of noise and score say nothing of the data at the very ends, so both scripts leave out a thousandth.
    start, end = (1.0, 0.0) if predicts == "velocity" else (0.999, 0.001)
    noise, data = (0.0, 1.0) if family == "sit" else (1.0, 0.0)
    flow = Flow(interpolation=interpolation, time_at_noise=noise, time_at_data=data, start=start, end=end)
    # SiT guides as DiT does; REPA guides every channel.
    guided = min(3, channels) if family == "sit" else channels
    return Process(path=flow, prediction=predicts, guided_channels=guided, spacing="trailing", sampler="euler")


def _known(name: str, value: object, names: Mapping[str, str]) -> str:
    key = value.lower() if isinstance(value, str) else ""
    if key not in names:
        known = ", ".join(names)
        raise CheckpointError(f"the file's arguments say {name} {one_line(repr(value), 40)}; supported are {known}")
    return names[key]


FAMILIES = {
    family.name: family
    for family in (
        ModelFamily("dit", "DiT and fast-DiT: noise prediction on a discrete schedule", _diffusion),
        ModelFamily("sit", "SiT: flow matching, time from noise (0) to data (1)", partial(_flow, family="sit")),
        ModelFamily("repa", "REPA: flow matching, time from data (0) to noise (1)", partial(_flow, family="repa")),
    )
}
