# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in the names of facebookresearch's DiT, which SiT, REPA and fast-DiT share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from hqdit_mobile.model.checkpoints.build import dit_from_state
from hqdit_mobile.model.checkpoints.given import Given
from hqdit_mobile.model.checkpoints.positions import are_learned, grid_of
from hqdit_mobile.model.checkpoints.reading import CheckpointError, named
from hqdit_mobile.model.checkpoints.states import ComputedState, Layout, State, TranslatedState, linear, refuse_unused
from hqdit_mobile.model.dit import DiT, DiTConfig
from hqdit_mobile.model.random_model import SIZES

PUBLISHED_CLASSES = 1000  # and a null row, as in every published checkpoint
PROJECTORS = "projectors."
DROPPED_LABELS = ("class_dropout_prob", "cfg_prob")  # arguments that say what share of labels training dropped
LABEL_TABLE = "y_embedder.embedding_table.weight"
_BLOCK = re.compile(r"blocks\.(\d+)\.")


@dataclass(frozen=True)
class Source:
    """A file's tensors, the arguments of its training run, and what the user says; ``notes`` are for the user."""

    file: Path
    state: State
    arguments: dict[str, Any]
    given: Given
    notes: list[str]


def dit_from_facebook(source: Source, streamed: bool = False) -> DiT:
    """Sizes come from the tensors; heads and classes also from the arguments, the user or the published models.

    Raises CheckpointError where nothing says them, and for tensors that are missing or left over.
    """
    state = source.state
    config = _config(source)
    layout = _layout(config)
    state = _without_null_row(state, config)
    projectors = [name for name in state if name.startswith(PROJECTORS)]
    refuse_unused(state, layout, {"pos_embed", *projectors})
    if projectors:
        source.notes.append(
            f"left out {len(projectors)} tensors of REPA's {PROJECTORS[:-1]}, which only training needs"
        )
    return dit_from_state(config, TranslatedState(state, layout), streamed)


def _config(source: Source) -> DiTConfig:
    state = source.state
    patch_weight = _take(state, "x_embedder.proj.weight", 4)
    hidden, in_channels, patch, width = patch_weight.shape
    if patch != width:
        raise CheckpointError(
            f"x_embedder.proj.weight has patches of {patch} x {width}; only square ones are supported"
        )
    positions = _take(state, "pos_embed", 3)
    grid = grid_of(positions, "pos_embed", hidden)
    depth = len({match[1] for name in state if (match := _BLOCK.match(name))})
    if depth == 0:
        raise CheckpointError(f"the checkpoint has no tensor 'blocks.0. ...'; it has {named(state)}")
    outputs = _take(state, "final_layer.linear.weight", 2).shape[0]
    if outputs not in (patch**2 * in_channels, 2 * patch**2 * in_channels):
        raise CheckpointError(
            f"final_layer.linear.weight has {outputs} rows: {in_channels} channels and patches of {patch} need "
            f"{patch**2 * in_channels}, or twice as many with a learned sigma"
        )
    inner = _take(state, "blocks.0.mlp.fc1.weight", 2).shape[0]
    classes = _classes(source, _take(state, LABEL_TABLE, 2).shape[0])
    guided = _has_null_class(source, classes)
    try:
        return DiTConfig(
            hidden_size=hidden,
            depth=depth,
            num_heads=_heads(source, depth, hidden),
            patch_size=patch,
            in_channels=in_channels,
            out_channels=outputs // patch**2,
            sample_size=grid * patch,
            num_classes=classes,
            null_class=guided,
            mlp_ratio=inner / hidden,
            learned_positions=are_learned(positions, grid),
        )
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def _without_null_row(state: State, config: DiTConfig) -> State:
    """Leaves out a last row of the label table that no training saw."""
    rows = config.label_rows
    return ComputedState(state, {LABEL_TABLE: lambda: state[LABEL_TABLE][:rows]})


def _layout(config: DiTConfig) -> Layout:
    layout: Layout = {"y_embedder.weight": (LABEL_TABLE,)}
    if config.learned_positions:
        layout["positions"] = ("pos_embed",)
    linear(layout, "x_embedder", "x_embedder.proj")
    linear(layout, "t_embedder.fc1", "t_embedder.mlp.0")
    linear(layout, "t_embedder.fc2", "t_embedder.mlp.2")
    for block in (f"blocks.{i}" for i in range(config.depth)):
        for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"):
            linear(layout, f"{block}.{name}", f"{block}.{name}")
        linear(layout, f"{block}.adaLN", f"{block}.adaLN_modulation.1")
    linear(layout, "final.adaLN", "final_layer.adaLN_modulation.1")
    linear(layout, "final.linear", "final_layer.linear")
    return layout


def _take(state: State, key: str, dims: int) -> Tensor:
    if key not in state:
        raise CheckpointError(f"the checkpoint has no tensor {key!r}; it has {named(state)}")
    if state[key].dim() != dims:
        raise CheckpointError(f"{key} has shape {list(state[key].shape)}, not {dims} dimensions")
    return state[key]


def _heads(source: Source, depth: int, hidden: int) -> int:
    """Nothing in the tensors says it."""
    given, said = source.given.num_heads, _integer(source, "num_heads")
    if (size := model_size(source.arguments.get("model"))) and said is None:
        if SIZES[size][:2] != (depth, hidden):
            raise CheckpointError(
                f"the file's arguments say {source.arguments['model']!r}, a model of {SIZES[size][0]} blocks of width "
                f"{SIZES[size][1]}, but its tensors are {depth} blocks of width {hidden}; give --num-heads"
            )
        said = SIZES[size][2]
    if given is not None and said is not None and given != said:
        raise CheckpointError(f"--num-heads {given} contradicts the file's arguments, which say {said}")
    published = {sizes[:2]: sizes[2] for sizes in SIZES.values()}.get((depth, hidden))
    heads = given or said or published
    if heads is None:
        raise CheckpointError(
            f"nothing says how many heads the attention has: {depth} blocks of width {hidden} are no published size; "
            "give --num-heads"
        )
    return heads


def _classes(source: Source, rows: int) -> int:
    """Of a label table with ``rows``, whose last is that of the null class if it has one more than classes."""
    given, said = source.given.num_classes, _integer(source, "num_classes")
    if given is not None and said is not None and given != said:
        raise CheckpointError(f"--num-classes {given} contradicts the file's arguments, which say {said}")
    classes = given if given is not None else said
    if classes is None and (_dropped_share(source) or 0) > 0:
        classes = rows - 1
    if classes is None and rows == PUBLISHED_CLASSES + 1:
        classes = PUBLISHED_CLASSES
    if classes is None:
        raise CheckpointError(
            f"the label table has {rows} rows: give --num-classes {rows - 1} if the last one is the null class that "
            f"training dropped labels to, --num-classes {rows} if training dropped none"
        )
    if classes not in (rows - 1, rows) or classes < 1:
        raise CheckpointError(
            f"the label table has {rows} rows, not {classes}, nor these and one for the null class: correct "
            "--num-classes"
        )
    return classes


def _dropped_share(source: Source) -> float | None:
    """Of the labels, in training; None where the arguments do not say it."""
    values = (source.arguments.get(name) for name in DROPPED_LABELS)
    return next((float(value) for value in values if isinstance(value, int | float)), None)


def _has_null_class(source: Source, classes: int) -> bool:
    """Whether training taught a row of the label table to stand for no class; if not, a note says so."""
    rows = source.state[LABEL_TABLE].shape[0]
    if rows > classes and _dropped_share(source) != 0:
        return True
    why = f"has {rows} rows for {classes} classes" if rows == classes else "was trained without dropping labels"
    source.notes.append(
        f"the label table {why}, so there is no null class to guide away from: the bundle draws without guidance"
    )
    return False


def _integer(source: Source, name: str) -> int | None:
    value = source.arguments.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(f"the file's arguments say {name} {value!r}, not a positive integer")
    return value


def model_size(name: object) -> str | None:
    """S, B, L or XL of a name such as DiT-XL/2 or SiT-B/4."""
    match = re.fullmatch(r"(?:DiT|SiT)-(S|B|L|XL)/\d+", name) if isinstance(name, str) else None
    return match[1] if match else None
