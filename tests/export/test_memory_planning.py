# SPDX-License-Identifier: Apache-2.0
"""Where a program's activations lie, as the program says."""

import math
from itertools import combinations

import pytest
import torch
from executorch.exir._serialize._program import deserialize_pte_binary
from executorch.exir.scalar_type import ScalarType
from onnx_cases import small_model

from hqdit_mobile.export.bundle.model_files import GUIDED, UNGUIDED, write_model_files

pytestmark = pytest.mark.slow

CACHE_LINE = 64
ELEMENT = {ScalarType.FLOAT: 4, ScalarType.LONG: 8}


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned")
    model = small_model()
    write_model_files("executorch", model, folder, torch.zeros(1, *model.latent_shape))
    program = deserialize_pte_binary((folder / "transformer.pte").read_bytes()).program
    return {plan.name: plan for plan in program.execution_plan}


def place_of(plan, value: int) -> range | None:
    """The bytes of a planned tensor."""
    tensor = plan.values[value].val
    where = getattr(tensor, "allocation_info", None)
    if where is None:
        return None
    first = where.memory_offset_low + (where.memory_offset_high << 32)
    return range(first, first + ELEMENT[tensor.scalar_type] * math.prod(tensor.sizes))


def share(a: range, b: range) -> bool:
    return a.start < b.stop and b.start < a.stop


@pytest.mark.parametrize("method", [UNGUIDED, GUIDED])
def test_tensors_of_one_place_have_one_middle(plans, method):
    """So each of two threads, which share out the rows of a tensor, has the same side of all of them."""
    plan = plans[method]
    places = {place for value in range(len(plan.values)) if (place := place_of(plan, value))}
    shared = [(a, b) for a, b in combinations(places, 2) if share(a, b)]
    assert any(len(a) != len(b) for a, b in shared)
    for a, b in shared:
        assert abs(a.start + a.stop - b.start - b.stop) <= 2 * CACHE_LINE, (a, b)


@pytest.mark.parametrize("method", [UNGUIDED, GUIDED])
def test_nothing_is_overwritten_before_it_is_read(plans, method):
    plan = plans[method]
    written = {value for value in plan.inputs if place_of(plan, value)}
    (chain,) = plan.chains
    for instruction in chain.instructions:
        arguments = set(instruction.instr_args.args)
        for value in instruction.instr_args.args:
            arguments |= set(getattr(plan.values[value].val, "items", []))
        planned = {value for value in arguments if place_of(plan, value)}
        # Each is written once: what has not been written yet is a result.
        results = planned - written
        assert results
        lost = {old for old in written for new in results if share(place_of(plan, old), place_of(plan, new))}
        assert not planned & lost, f"{instruction} overwrites what it reads"
        written = written - lost | results
    assert set(plan.outputs) <= written
