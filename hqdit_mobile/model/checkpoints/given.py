# SPDX-License-Identifier: Apache-2.0
"""What the user says of a checkpoint because its file cannot."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Given:
    """family: a name of family.FAMILIES; num_heads: of attention; num_classes: without the null one; licence: of the
    weights. None where the user says nothing."""

    family: str | None = None
    num_heads: int | None = None
    num_classes: int | None = None
    licence: str | None = None
