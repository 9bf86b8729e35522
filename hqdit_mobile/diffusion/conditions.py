# SPDX-License-Identifier: Apache-2.0
"""What a network is told beside latents and time: named tensors, what stands for none of them, how they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

NO_NULL_CLASS = "the model has no null class to guide away from"
Conditions = Mapping[str, Tensor]
"""A tensor [B, *shape] for each name that a network declares, in its order."""


@dataclass(frozen=True)
class Condition:
    """A tensor [B, *shape] of ``dtype`` that a network takes.

    null: the value that fills it where the network is to know nothing; None for a network that was trained without one,
        which cannot be guided.
    draw: (count, generator) -> [count, *shape] such as people ask for; calibration draws with it.
    """

    dtype: torch.dtype
    null: float | None
    draw: Callable[[int, torch.Generator], Tensor]
    shape: tuple[int, ...] = ()

    def nulls_like(self, value: Tensor) -> Tensor:
        """Raises ValueError for a condition without a null value."""
        if self.null is None:
            raise ValueError(NO_NULL_CLASS)
        return torch.full_like(value, self.null)


Declared = Mapping[str, Condition]


def class_label(num_classes: int, null: int | None) -> Condition:
    """int64 in 0..num_classes - 1, all alike likely; ``null``: the label of no class."""
    return Condition(torch.int64, null, lambda count, g: torch.randint(0, num_classes, (count,), generator=g))


def can_be_guided(declared: Declared) -> bool:
    return all(condition.null is not None for condition in declared.values())


def named(declared: Declared, given: Tensor | Conditions) -> dict[str, Tensor]:
    """``given`` by name, in the declared order; a tensor alone is the condition of a network that takes one.

    Raises ValueError naming what is missing or not known.
    """
    if isinstance(given, Tensor):
        if len(declared) != 1:
            raise ValueError(f"the network takes {', '.join(declared)}: give each by its name")
        return dict.fromkeys(declared, given)
    if declared.keys() != given.keys():
        raise ValueError(f"the network takes {', '.join(declared)}, not {', '.join(given)}")
    return {name: given[name] for name in declared}


def draw(declared: Declared, count: int, generator: torch.Generator) -> dict[str, Tensor]:
    return {name: condition.draw(count, generator) for name, condition in declared.items()}


def nulls_like(declared: Declared, conditions: Conditions) -> dict[str, Tensor]:
    return {name: condition.nulls_like(conditions[name]) for name, condition in declared.items()}


def halves(declared: Declared, given: Tensor | Conditions) -> dict[str, Tensor]:
    """[2 B, *shape] each: the conditions, then as many null values; the conditions alone where one has none."""
    conditions = named(declared, given)
    if not can_be_guided(declared):
        return conditions
    nulls = nulls_like(declared, conditions)
    return {name: torch.cat([value, nulls[name]]) for name, value in conditions.items()}


def at(conditions: Conditions, rows: Tensor | slice) -> dict[str, Tensor]:
    return {name: value[rows] for name, value in conditions.items()}
