# SPDX-License-Identifier: Apache-2.0
"""Views of a state dict: tensors are read, joined or computed when they are asked for, so that none is copied before.

All are mappings from names to tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import torch
from torch import Tensor

from hqdit_mobile.model.checkpoints.reading import CheckpointError, named

State = Mapping[str, Tensor]
Layout = dict[str, tuple[str, ...]]
"""Our name of a tensor -> the checkpoint's names of those that make it, joined along their rows."""


class FloatState(State):
    """A state whose tensors become float32 when they are read."""

    def __init__(self, state: State):
        self._state = state

    def __getitem__(self, name: str) -> Tensor:
        return self._state[name].float()

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)


class ComputedState(FloatState):
    """``state`` without ``gone``, and with ``computed`` tensors in the place of, or beside, its own."""

    def __init__(self, state: State, computed: Mapping[str, Callable[[], Tensor]], gone: Collection[str] = ()):
        super().__init__(state)
        self._computed, self._gone = dict(computed), set(gone)

    def __getitem__(self, name: str) -> Tensor:
        if name in self._computed:
            return self._computed[name]()
        if name in self._gone:
            raise KeyError(name)
        return self._state[name]

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in self._state if name not in self._gone or name in self._computed)
        yield from (name for name in self._computed if name not in self._state)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class TranslatedState(FloatState):
    """A checkpoint under our names, in float32. Raises CheckpointError naming tensors that are missing."""

    def __init__(self, state: State, layout: Layout):
        if missing := [key for keys in layout.values() for key in keys if key not in state]:
            raise CheckpointError(f"the checkpoint has no tensor {named(missing)}; it has {named(state)}")
        super().__init__(state)
        self._layout = layout

    def __getitem__(self, name: str) -> Tensor:
        parts = [self._state[key].float() for key in self._layout[name]]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout)

    def __len__(self) -> int:
        return len(self._layout)


class BlockState(FloatState):
    """The part of a state whose names start with ``prefix``, without it."""

    def __init__(self, state: State, prefix: str):
        super().__init__(state)
        self._prefix = prefix

    def __getitem__(self, name: str) -> Tensor:
        return self._state[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(self._prefix) for name in self._state if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def linear(layout: Layout, name: str, *keys: str) -> None:
    """Adds weight and bias of our layer ``name``, which is theirs of ``keys`` side by side."""
    for part in ("weight", "bias"):
        layout[f"{name}.{part}"] = tuple(f"{key}.{part}" for key in keys)


QK_NORM = "norms of queries and keys are not supported: train without qk_norm"
UNSUPPORTED = {
    "q_norm": QK_NORM,
    "k_norm": QK_NORM,
    "norm_q": QK_NORM,
    "norm_k": QK_NORM,
    "cross_attn": "it attends to a text; only class-conditional networks are supported",
    "attn2": "it attends to a text; only class-conditional networks are supported",
    "lora_magnitude": "DoRA is not supported; merge it with peft's merge_and_unload() and save the result",
    "modules_to_save": "merge the adapter with peft's merge_and_unload() and save the result",
}


def refuse_unused(state: State, layout: Layout, harmless: Collection[str] = ()) -> None:
    """Raises CheckpointError naming the tensors of ``state`` that ``layout`` does not use."""
    used = {key for keys in layout.values() for key in keys} | set(harmless)
    if unused := [key for key in state if key not in used]:
        why = next((text for part, text in UNSUPPORTED.items() for key in unused if part in key), None)
        raise CheckpointError(
            f"the checkpoint has tensors that the network does not use: {named(unused)}; "
            f"{why or 'it is another network, or its configuration is of another one'}"
        )
