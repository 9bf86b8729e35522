# SPDX-License-Identifier: Apache-2.0
"""The processes that share an evaluation: torch.distributed, as torchrun and accelerate launch start it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch

T = TypeVar("T")
PATIENCE = timedelta(days=30)  # a slow host may be hours behind; gloo gives up after 30 minutes


class Group:
    """``rank`` of ``size``: items are dealt out in turn, results come together at rank 0."""

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank, self.size = rank, size

    def own(self, items: Sequence[T]) -> list[tuple[int, T]]:
        """(index, item) of this process's share."""
        return list(enumerate(items))[self.rank :: self.size]

    def gather(self, results: dict[int, Any]) -> dict[int, Any]:
        """Results by item index, of all processes in the order of the items at rank 0; elsewhere only its own."""
        if self.size == 1:
            return results
        parts: list[Any] | None = [None] * self.size if self.rank == 0 else None
        torch.distributed.gather_object(results, parts)
        if parts is None:
            return results
        merged = {index: result for part in parts for index, result in part.items()}
        return {index: merged[index] for index in sorted(merged)}

    def agree(self, value: str, what: str) -> None:
        """Raises ValueError in every process if one has another value."""
        if self.size == 1:
            return
        values: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(values, value)
        if len(set(values)) > 1:
            raise ValueError(
                f"the processes do not agree about {what}: give all of them the same model, candidates and versions; "
                "if a recipe quantizes differently on different hosts, export a bundle once and evaluate that"
            )


@contextmanager
def process_group() -> Iterator[Group]:
    """The processes that share an evaluation, a context manager.

    Returns:
        The group that the environment (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) describes, or one process alone.

    Raises:
        RuntimeError: torch.distributed's, if the processes do not meet.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    torch.distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield Group(torch.distributed.get_rank(), size)
    finally:
        torch.distributed.destroy_process_group()
