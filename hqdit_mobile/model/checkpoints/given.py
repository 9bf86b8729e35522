# SPDX-License-Identifier: Apache-2.0
"""What the user says of a checkpoint because its file cannot."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Given:
    """What a checkpoint does not say itself; None where there is nothing to say.

    Attributes:
        family: "dit", "sit" or "repa".
        num_heads: of attention.
        num_classes: without the null class.
        licence: of the weights, for the bundle's card.
    """

    family: str | None = None
    num_heads: int | None = None
    num_classes: int | None = None
    licence: str | None = None
