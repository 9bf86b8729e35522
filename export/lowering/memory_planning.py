# SPDX-License-Identifier: Apache-2.0
"""Where the activations of a method lie, for threads that share out the rows of its tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from executorch.exir.memory_planning import MemoryAlgoResult
    from executorch.exir.tensor import TensorSpec
    from torch.export.graph_signature import ExportGraphSignature
    from torch.fx import GraphModule

Planner = Callable[..., "MemoryAlgoResult"]
_CACHE_LINE = 64


def centred(
    alignment: int,
    specs: set[TensorSpec],
    graph_module: GraphModule,
    graph_signature: ExportGraphSignature,
    extra_padding: int = 0,
) -> MemoryAlgoResult:
    """ExecuTorch's greedy plan, one tensor at a time in each of its places, and in the middle of it.

    Of tensors of different widths in one place, a thread then has the same side: what it writes was its own before,
    and need not be fetched from another core's cache. The plan takes a sixth more memory for a guided step (and a
    guided step 0.91 of the time, on two cores that lie far apart: docs/lab/performance.md).
    """
    from executorch.exir.memory_planning import greedy

    plan = greedy(alignment, specs, graph_module, graph_signature, extra_padding, allow_overlapping_allocations=False)
    sizes: defaultdict[tuple[int, int], int] = defaultdict(int)
    for spec, place in plan.spec_dict.items():
        sizes[place.mem_id, place.mem_obj_id] = max(sizes[place.mem_id, place.mem_obj_id], spec.allocated_memory)
    for spec, place in plan.spec_dict.items():
        spare = sizes[place.mem_id, place.mem_obj_id] - _root(spec).allocated_memory
        place.mem_offset += spare // 2 // _CACHE_LINE * _CACHE_LINE
    return plan


def _root(spec: TensorSpec) -> TensorSpec:
    """The tensor whose memory `spec` is a view of."""
    while spec.storage_base is not None:
        spec = spec.storage_base
    return spec
