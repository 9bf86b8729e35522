# SPDX-License-Identifier: Apache-2.0
"""Reads the fields of a configuration, each within bounds, and refuses those that nobody reads."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from hqdit_mobile.model.checkpoints.reading import CheckpointError, named, one_line

_REQUIRED: Any = object()
OF_DIFFUSERS = ("_class_name", "_diffusers_version", "_name_or_path", "_use_default_values")
"""Bookkeeping of diffusers' config files."""


class Fields:
    """The fields of ``values``, called ``where`` in errors. ``finish`` refuses those that nobody asked for."""

    def __init__(self, where: str, values: Mapping[str, Any]):
        self.where, self.values = where, values
        self._seen = set(OF_DIFFUSERS)

    def get(self, name: str, default: Any = _REQUIRED) -> Any:
        self._seen.add(name)
        if name not in self.values and default is _REQUIRED:
            raise CheckpointError(f"{self.where}: {name} is missing")
        return self.values.get(name, default)

    def integer(self, name: str, low: int, high: int, default: Any = _REQUIRED) -> int:
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(name, f"an integer of {low} to {high}", value)
        return value

    def number(self, name: str, default: Any = _REQUIRED) -> float:
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(name, "a finite number", value)
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise self.error(name, "true or false", value)
        return value

    def must_be(self, name: str, *allowed: Any, default: Any = _REQUIRED) -> Any:
        value = self.get(name, default)
        if value not in allowed:
            raise self.error(name, " or ".join(repr(one) for one in allowed), value)
        return value

    def integers(self, name: str, low: int, high: int, most: int, default: Any = _REQUIRED) -> list[int]:
        """A list of 1 to ``most`` integers."""
        value = self.get(name, default)
        good = isinstance(value, list | tuple) and 0 < len(value) <= most
        if not good or any(isinstance(v, bool) or not isinstance(v, int) or not low <= v <= high for v in value):
            raise self.error(name, f"a list of at most {most} integers of {low} to {high}", value)
        return list(value)

    def ignore(self, *names: str) -> None:
        """Fields without influence on what is computed here."""
        self._seen |= set(names)

    def error(self, name: str, wanted: str, value: Any) -> CheckpointError:
        return CheckpointError(f"{self.where}: {name} must be {wanted}, not {one_line(repr(value), 80)}")

    def finish(self, allowed: Collection[str] = ()) -> None:
        if unknown := sorted(set(self.values) - self._seen - set(allowed)):
            raise CheckpointError(
                f"{self.where}: {named(unknown)} is not understood; remove what does not change the network, else it "
                "is not supported"
            )
