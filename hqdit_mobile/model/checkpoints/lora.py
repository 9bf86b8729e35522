# SPDX-License-Identifier: Apache-2.0
"""LoRA (Hu et al., arXiv 2106.09685): W + alpha / r * B A, merged when a weight is read; of rsLoRA (arXiv 2312.03732)
alpha / sqrt(r)."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path

from torch import Tensor

from hqdit_mobile.model.checkpoints.reading import CheckpointError, read_json
from hqdit_mobile.model.checkpoints.states import ComputedState, State

ADAPTER_CONFIG = "adapter_config.json"
_DOWN = re.compile(r"^(?P<layer>.+)\.lora_(?:A|down)(?:\.(?P<adapter>[^.]+))?\.weight$")


def merge_lora(state: State, file: Path, notes: list[str]) -> State:
    """``state`` with its LoRA pairs merged into the weights that they belong to, as peft names them. Says so in
    ``notes``. Raises CheckpointError naming a pair that is not complete or does not fit."""
    state = _without_base_layer(state)
    downs = {key: match for key in state if (match := _DOWN.match(key))}
    if not downs:
        return state
    alpha, stabilized = _configured(file.parent / ADAPTER_CONFIG)
    computed, gone, scales = {}, set(), set()
    for key, match in downs.items():
        up = key.replace(".lora_A", ".lora_B").replace(".lora_down", ".lora_up")
        weight = f"{match['layer']}.weight"
        if weight not in state or up not in state:
            raise CheckpointError(f"{file}: {key!r} needs {weight!r} and {up!r} beside it")
        if weight in computed:
            raise CheckpointError(f"{file}: several LoRA adapters for {weight!r}; merge those that you want first")
        rank = state[key].shape[0]
        own = f"{match['layer']}.alpha"
        divisor = math.sqrt(rank) if stabilized else rank
        scale = float(state[own]) / divisor if own in state else 1.0 if alpha is None else alpha / divisor
        base, a, b = state[weight], state[key], state[up]
        if a.dim() != 2 or b.dim() != 2 or b.shape[1] != rank or base.shape != (b.shape[0], a.shape[1]):
            raise CheckpointError(f"{file}: {key!r} and {up!r} do not fit {weight!r}")
        computed[weight] = partial(_merged, base, a, b, scale)
        gone |= {key, up, own}
        scales.add(scale)
    how = ("alpha / sqrt(r) " if stabilized else "alpha / r ") + ", ".join(f"{scale:g}" for scale in sorted(scales))
    if alpha is None and not any(key.endswith(".alpha") for key in gone & set(state)):
        how = f"alpha taken as the rank, because neither the file nor an {ADAPTER_CONFIG} says it"
    notes.append(f"LoRA merged into {len(computed)} weights ({how})")
    return ComputedState(state, computed, gone)


def _merged(base: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    return (base.double() + scale * (b.double() @ a.double())).float()


def _without_base_layer(state: State) -> State:
    """peft calls the weights beside an adapter LAYER.base_layer.weight."""
    renamed = {key: key.replace(".base_layer.", ".") for key in state if ".base_layer." in key}
    if not renamed:
        return state
    return ComputedState(state, {new: partial(state.__getitem__, old) for old, new in renamed.items()}, renamed)


def _configured(file: Path) -> tuple[float | None, bool]:
    """(alpha, whether it is rsLoRA) of peft's configuration; its ranks are those of the tensors."""
    if not file.is_file():
        return None, False
    config = read_json(file)
    alpha = config.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise CheckpointError(f"{file}: lora_alpha is {alpha!r}, not a number")
    for name in ("alpha_pattern", "fan_in_fan_out"):
        if config.get(name):
            raise CheckpointError(
                f"{file}: {name} is not supported; merge the adapter with peft's merge_and_unload() and save the result"
            )
    return float(alpha), bool(config.get("use_rslora"))
