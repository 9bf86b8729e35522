# SPDX-License-Identifier: Apache-2.0
"""torch.export -> ExecuTorch: hqdit operators stay operators, XNNPACK takes the rest, all shapes are static."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hqdit_mobile.export.lowering.memory_planning import Planner
from hqdit_mobile.util.garbage import collecting_new_objects_only

if TYPE_CHECKING:
    from executorch.exir import ExecutorchProgramManager

Programs = Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]


@dataclass(frozen=True)
class Lowered:
    """A program. ``arena_bytes`` is the largest planned activation memory of its methods."""

    program: ExecutorchProgramManager
    arena_bytes: int
    operators: dict[str, int] = field(default_factory=dict)
    """How often each operator is left outside delegates, over all methods."""

    @property
    def data(self) -> bytes:
        """The .pte. It holds all weights; ``write`` does not need them in memory once more."""
        return bytes(self.program.buffer)

    def write(self, path: Path) -> None:
        with path.open("wb") as stream:
            self.program.write_to_file(stream)


# Percent of the time that lowering takes: torch.export, the edge program with XNNPACK's part, the program itself.
SHARES = (8, 84, 8)


def lower(
    methods: Programs,
    one_by_one: bool = False,
    advance: Callable[[int], None] = lambda _: None,
    planner: Planner | None = None,
) -> Lowered:
    """Lowers ``{method name: (module, example inputs)}`` to one .pte; methods share their constants.

    ``one_by_one``: XNNPACK gets each operator (with what quantizes its inputs) as its own program. Larger ones keep
    inputs alive until the last of their operators has run, and ExecuTorch 1.5.1 makes programs that fail where one
    operator's result is quantized for the next. ``advance``: gets each of SHARES when that part is done.
    ``planner``: places the activations (memory_planning.py); without it those of a method take the least memory.

    Raises RuntimeError naming the operator if one has no .out variant (see hqdit_mobile/ops/fp4_linear.py for ours).
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.memory_planning import MemoryPlanningAlgorithmSuite
    from executorch.exir.passes import MemoryPlanningPass

    with torch.no_grad(), warnings.catch_warnings(), collecting_new_objects_only():
        warnings.filterwarnings("ignore", category=FutureWarning)
        programs = {name: torch.export.export(module, inputs) for name, (module, inputs) in methods.items()}
        advance(SHARES[0])
        edge = to_edge_transform_and_lower(
            programs,
            partitioner=[XnnpackPartitioner(per_op_mode=one_by_one)],
            # The hqdit operators are not core ATen, which is what the validity check asks for.
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
        _forget_graphs()
        advance(SHARES[1])
        operators: Counter[str] = Counter()
        for name in methods:
            for node in edge.exported_program(name).graph_module.graph.nodes:
                if node.op == "call_function":
                    operators[_operator_name(node.target)] += 1
            _in_depth_first_order(edge.exported_program(name).graph_module)
        planning = MemoryPlanningPass(MemoryPlanningAlgorithmSuite([planner] if planner else None))
        program = edge.to_executorch(ExecutorchBackendConfig(memory_planning_pass=planning))
        advance(SHARES[2])
    plans = program.executorch_program.execution_plan
    arena = max(sum(plan.non_const_buffer_sizes) for plan in plans)
    return Lowered(program, arena, dict(operators))


def _forget_graphs() -> None:
    """ExecuTorch 1.5.1 keeps nodes in its modules, and a node keeps its graph with the weights: those of an unbounded
    cache all graphs that were ever lowered, those of the last operators that XNNPACK did not take one graph."""
    from executorch.backends.xnnpack.partition.config import (
        gemm_configs,
        generic_node_configs,
        node_configs,
        xnnpack_config,
    )
    from executorch.exir.backend.utils import is_same_node

    is_same_node.cache_clear()
    for module in (gemm_configs, generic_node_configs, node_configs, xnnpack_config):
        module.why.node = None


def _in_depth_first_order(module: torch.fx.GraphModule) -> None:
    """Each operator right before the first that needs it, so that parts which the model computes one after the other do
    not lie in memory together: lowering leaves them breadth first."""
    graph = module.graph
    output = graph.output_node()
    seen: set[torch.fx.Node] = set()
    stack = [(output, iter(output.all_input_nodes))]
    while stack:
        node, inputs = stack[-1]
        following = next((n for n in inputs if n not in seen and n.op == "call_function"), None)
        if following is not None:
            seen.add(following)
            stack.append((following, iter(following.all_input_nodes)))
            continue
        stack.pop()
        if node is not output:
            output.prepend(node)
    module.recompile()


def _operator_name(target: object) -> str:
    schema = getattr(target, "_schema", None)
    return schema.name if schema is not None else getattr(target, "__name__", str(target))
