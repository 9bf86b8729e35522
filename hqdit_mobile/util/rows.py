# SPDX-License-Identifier: Apache-2.0
"""Element-wise work on large matrices, in runs of rows that stay in a processor's cache, on all cores."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

CHUNK = 32768  # elements of a run: in float32 a fraction of any second-level cache, and what torch keeps on one thread


def by_rows(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """function(*tensors), called on runs of their rows and put together again.

    function: gives each row of its result from the same row of each of `tensors` [N, ...] alone.
    """
    rows = max(1, CHUNK // max(1, tensors[0][:1].numel()))
    if len(tensors[0]) <= rows:
        return function(*tensors)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return torch.cat(list(pool.map(function, *(tensor.split(rows) for tensor in tensors))))
