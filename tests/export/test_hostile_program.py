# SPDX-License-Identifier: Apache-2.0
"""Programs that no exporter writes, in ExecuTorch's own runtime: our operators refuse the call and say why."""

from collections.abc import Callable

import pytest
import torch
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.exir._serialize._program import deserialize_pte_binary, serialize_pte_binary
from executorch.exir.schema import ExecutionPlan, FreeCall, Instruction, KernelCall
from executorch.exir.schema import Tensor as TensorValue
from executorch.runtime import Runtime
from torch import nn

from hqdit_mobile.ops import native
from hqdit_mobile.ops.fp4_linear import FP4Linear

Change = Callable[[ExecutionPlan, KernelCall], None]


class Layers(nn.Module):
    """One of each kind of our wrappers: of fp4_linear, of a tensor alone and of tensors and numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = FP4Linear(96, 40, group=32)
        self.register_buffer("weight", torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.ops.hqdit.group_norm_f32(x, self.weight, self.weight, 1, 1e-6, False)
        return torch.ops.hqdit.gelu_tanh(self.layer(x))


@pytest.fixture(scope="module")
def program() -> bytes:
    x = torch.randn(2, 3, 96, generator=torch.Generator().manual_seed(0))
    lowered = to_edge_transform_and_lower(
        torch.export.export(Layers(), (x,)), compile_config=EdgeCompileConfig(_check_ir_validity=False)
    )
    return lowered.to_executorch().buffer


def changed(program: bytes, change: Change, operator: str) -> bytes:
    file = deserialize_pte_binary(program)
    (plan,) = file.program.execution_plan
    index = next(i for i, op in enumerate(plan.operators) if op.name == f"hqdit::{operator}")
    calls = [i.instr_args for i in plan.chains[0].instructions]
    change(plan, next(call for call in calls if isinstance(call, KernelCall) and call.op_index == index))
    return bytes(serialize_pte_binary(file))


def without_the_last(plan: ExecutionPlan, call: KernelCall) -> None:
    call.args = call.args[:-1]


def with_one_argument(plan: ExecutionPlan, call: KernelCall) -> None:
    call.args = call.args[:1]


def with_one_too_many(plan: ExecutionPlan, call: KernelCall) -> None:
    call.args = [*call.args, call.args[-1]]


def of_another_operator(plan: ExecutionPlan, call: KernelCall) -> None:
    """As the mutants that crashed did: the arguments of gelu_tanh for an operator that has twelve."""
    call.op_index = next(i for i, op in enumerate(plan.operators) if op.name == "hqdit::fp4_linear")


def with_a_freed_weight(plan: ExecutionPlan, call: KernelCall) -> None:
    constants = [i for i in call.args if isinstance(v := plan.values[i].val, TensorValue) and v.allocation_info is None]
    plan.chains[0].instructions.insert(0, Instruction(FreeCall(constants[-1])))


@pytest.mark.parametrize(
    ("operator", "change", "message"),
    [
        ("fp4_linear", without_the_last, "hqdit::fp4_linear.out: a call has 12 arguments instead of 13"),
        ("fp4_linear", with_one_argument, "hqdit::fp4_linear.out: a call has 1 arguments instead of 13"),
        ("fp4_linear", with_one_too_many, "hqdit::fp4_linear.out: a call has 14 arguments instead of 13"),
        ("gelu_tanh", with_one_argument, "hqdit::gelu_tanh.out: a call has 1 arguments instead of 3"),
        ("gelu_tanh", of_another_operator, "hqdit::fp4_linear.out: a call has 3 arguments instead of 13"),
        ("group_norm_f32", without_the_last, "hqdit::group_norm_f32.out: a call has 7 arguments instead of 8"),
        ("group_norm_f32", with_a_freed_weight, "hqdit::group_norm_f32.out: weight has no data"),
        ("fp4_linear", with_a_freed_weight, "hqdit::fp4_linear.out: bias has no data"),
    ],
)
def test_a_hostile_call_is_refused(program, operator, change, message, capfd):
    data = changed(program, change, operator)
    native.library()
    loaded = Runtime.get().load_program(data)
    with pytest.raises(RuntimeError):
        loaded.load_method("forward").execute([torch.ones(2, 3, 96)])
    written = capfd.readouterr()
    assert message in written.out + written.err
