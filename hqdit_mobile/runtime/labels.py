# SPDX-License-Identifier: Apache-2.0
"""Finds the class that a person means: by number, by name, or by one of the synonyms in a name.

ImageNet's names are lists such as "great white shark, white shark, man-eater", and some classes share one ("crane").
The rule, which ``ModelInfo.findLabel`` of the Android and iOS libraries shares: the whole name counts before the name
without regard to case and accents, and that before a synonym; what fits two classes is refused.
"""

from __future__ import annotations

import difflib
import operator
import re
import unicodedata
from collections.abc import Sequence

from hqdit_mobile.runtime.errors import InvalidArgumentError, NotFoundError

_NUMBER = re.compile("#?([0-9]+)")
NEAREST = 5


def fold(text: str) -> str:
    """``text`` without regard to case, accents, compatibility forms and the width of spaces (NFKD, case folding)."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
    return " ".join(bare.split())


def synonyms(name: str) -> list[str]:
    """The folded, comma-separated parts of a class's name."""
    parts = (part.strip() for part in fold(name).split(","))
    return [part for part in parts if part]


def resolve_label(labels: Sequence[str], null_label: int | None, label: int | str) -> int:
    """The number of the class that ``label`` means.

    ``labels``: the name of every class. ``null_label``: the class that stands for "no class", which only its number
    means, or None. ``label``: a number, a text of ASCII digits ("7", or "#7" where a class is called "7"), or a name.

    Raises InvalidArgumentError for a number out of range and for a name of several classes, with the candidates;
    NotFoundError with the nearest names for a name of none.
    """
    if not isinstance(label, str):
        return _in_range(labels, null_label, operator.index(label))
    number = _NUMBER.fullmatch(label.strip())
    if number is None:
        return find_label(labels, label)
    index = _in_range(labels, null_label, int(number[1]))
    named = [i for i, name in enumerate(labels) if fold(name) == label.strip() and i != index]
    if named:
        raise InvalidArgumentError(
            f'"{label}" is a number and the name of {_listed(labels, named)}: write #{index} or #{named[0]}'
        )
    return index


def find_label(labels: Sequence[str], name: str) -> int:
    """The class that is called ``name``; raises as ``resolve_label`` does."""
    wanted = fold(name)
    folded = [fold(label) for label in labels]
    rules = (
        [i for i, label in enumerate(labels) if label == name],
        [i for i, label in enumerate(folded) if wanted and label == wanted],
        [i for i, label in enumerate(labels) if wanted and wanted in synonyms(label)],
    )
    found = next((rule for rule in rules if rule), [])
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidArgumentError(
            f'"{name}" is the name of {len(found)} classes, {_listed(labels, found)}: give the number of one'
        )
    near = _nearest(labels, wanted)
    hint = f"near it are {_listed(labels, near)}" if near else "'hqdit info --labels' lists them"
    raise NotFoundError(f'no label has the name "{name}"; {hint}')


def _in_range(labels: Sequence[str], null_label: int | None, number: int) -> int:
    if 0 <= number < len(labels) or number == null_label:
        return number
    null = "" if null_label is None else f" or the null label {null_label}"
    raise InvalidArgumentError(f"label must be in 0 .. {len(labels) - 1}{null}, not {number}")


def _nearest(labels: Sequence[str], wanted: str) -> list[int]:
    """Classes with a synonym that is spelt like ``wanted`` or holds it, the most alike first."""
    of_name: dict[str, int] = {}
    for index, label in enumerate(labels):
        for part in synonyms(label):
            of_name.setdefault(part, index)
    names = difflib.get_close_matches(wanted, of_name, NEAREST, 0.6)
    names += [name for name in of_name if wanted and wanted in name]
    return list(dict.fromkeys(of_name[name] for name in names))[:NEAREST]


def _listed(labels: Sequence[str], indices: Sequence[int]) -> str:
    shown = ", ".join(f'{i} "{labels[i]}"' for i in indices[:NEAREST])
    return shown if len(indices) <= NEAREST else f"{shown} and {len(indices) - NEAREST} more"
