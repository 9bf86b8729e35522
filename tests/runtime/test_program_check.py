# SPDX-License-Identifier: Apache-2.0
"""Programs that our exporter would not write are refused before they are loaded, each for its own reason."""

import contextlib
import re
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_model
import torch
from executorch.exir._serialize._program import deserialize_pte_binary, serialize_pte_binary
from executorch.exir.schema import (
    AllocationDetails,
    CompileSpec,
    ExecutionPlan,
    FreeCall,
    Instruction,
    JumpFalseCall,
    KernelCall,
    MoveCall,
    ScalarType,
    TensorShapeDynamism,
)
from executorch.exir.schema import Tensor as TensorValue
from flat_tables import Table, xnnpack_graphs

import hqdit_mobile.ops.float_ops
import hqdit_mobile.ops.fp4_linear  # noqa: F401
from hqdit_mobile.runtime.engine import InvalidBundleError, Pipeline

SOURCE = Path(__file__).parents[2] / "export/sampler/src"


def refuse(folder, files: dict[str, bytes], message: str) -> None:
    bundle = tiny_model.write_bundle(folder, files)
    for load_mode in ("mmap", "read"):
        with pytest.raises(InvalidBundleError, match=f"transformer.pte: .*{message}"):
            Pipeline(bundle, load_mode=load_mode)


def test_operators_take_what_their_schemas_say():
    """The list that programs are checked by, against the operators' own schemas."""
    listed = re.findall(r'\{"([\w:]+)\.(\w+)", "(\w+)"\}', (SOURCE / "operator_signatures.h").read_text())
    assert len(listed) > 9
    listed += float_operators()
    # These take a tensor of any type; the exporter makes them of one.
    any_type = {"f": "flu", "l": "flu", "u": "flu", "F": "FL", "L": "FL"}
    letters = {"Tensor": "f", "Optional[Tensor]": "o", "int": "i", "SymInt": "i", "float": "d", "bool": "b", "str": "s"}
    letters |= {"List[int]": "I", "List[SymInt]": "I", "List[Tensor]": "F"}
    for name, overload, arguments in listed:
        namespace, operator = name.split("::")
        if namespace == "dim_order_ops":
            continue  # ExecuTorch declares it without a schema that torch knows
        schema = getattr(getattr(getattr(torch.ops, namespace), operator), overload)._schema
        expected = "".join(letters[str(argument.type)] for argument in schema.arguments)
        assert len(arguments) == len(expected), schema
        assert all(a in any_type.get(e, e) for a, e in zip(arguments, expected, strict=True)), (schema, arguments)


def float_operators() -> list[tuple[str, str, str]]:
    """(name, overload, letters) of the functions that signatures are derived from."""
    text = (SOURCE.parents[1] / "bindings/float_operators.h").read_text()
    found = re.findall(r'kName = "([\w:]+)\.(\w+)".*?bool run\(Host& host, (.*?)\)', text, flags=re.DOTALL)
    letters = {"const View&": "f", "const View*": "o", "int64_t": "i", "double": "d", "bool": "b"}
    assert len(found) == text.count("  Visit::template one<") > 9
    return [
        (
            name,
            overload,
            "".join(letters[argument.strip().rpartition(" ")[0]] for argument in arguments.split(",")) + "f",
        )
        for name, overload, arguments in found
    ]


def kernel_call(plan: ExecutionPlan, operator: str) -> KernelCall:
    for instruction in plan.chains[0].instructions:
        call = instruction.instr_args
        if isinstance(call, KernelCall) and plan.operators[call.op_index].name == operator:
            return call
    raise AssertionError(operator)


def tensors(plan: ExecutionPlan, constant: bool) -> list[TensorValue]:
    found = [value.val for value in plan.values if isinstance(value.val, TensorValue)]
    return [tensor for tensor in found if (tensor.data_buffer_idx > 0) == constant]


def index_of(plan: ExecutionPlan, tensor: TensorValue) -> int:
    return next(i for i, value in enumerate(plan.values) if value.val is tensor)


def fewer_arguments(plan: ExecutionPlan) -> None:
    call = kernel_call(plan, "aten::embedding")
    call.args = call.args[:-1]


def other_types(plan: ExecutionPlan) -> None:
    call = kernel_call(plan, "aten::embedding")
    call.args = [call.args[1], call.args[0], *call.args[2:]]


def other_operator(plan: ExecutionPlan) -> None:
    plan.operators[0].name = "aten::add"


def writes_to_a_constant(plan: ExecutionPlan) -> None:
    call = kernel_call(plan, "aten::embedding")
    call.args = [*call.args[:-2], call.args[0], call.args[0]]


def delegate_writes_to_a_constant(plan: ExecutionPlan) -> None:
    call = plan.chains[0].instructions[-1].instr_args
    out = plan.values[call.args[-1]].val
    twin = next(t for t in tensors(plan, True) if t.scalar_type == out.scalar_type)
    twin.sizes, twin.dim_order = [1, 1, 1, 1], [0, 1, 2, 3]
    call.args = [*call.args[:-1], index_of(plan, twin)]


def instruction(made) -> Callable[[ExecutionPlan], None]:
    def change(plan: ExecutionPlan) -> None:
        plan.chains[0].instructions.insert(0, Instruction(made))

    return change


def field(name: str, value, constant: bool = False) -> Callable[[ExecutionPlan], None]:
    return lambda plan: setattr(tensors(plan, constant)[0], name, value)


def argument_beyond(plan: ExecutionPlan) -> None:
    plan.chains[0].instructions[0].instr_args.args[0] = 10_000


def operator_beyond(plan: ExecutionPlan) -> None:
    kernel_call(plan, "aten::embedding").op_index = 7


def two_chains(plan: ExecutionPlan) -> None:
    plan.chains.append(plan.chains[0])


def other_delegate(plan: ExecutionPlan) -> None:
    plan.delegates[0].id = "CoreMLBackend"


def delegate_options(plan: ExecutionPlan) -> None:
    plan.delegates[0].compile_specs.append(CompileSpec("threads", b"8"))


def delegate_beyond(plan: ExecutionPlan) -> None:
    plan.chains[0].instructions[-1].instr_args.delegate_index = 3


def delegate_argument_missing(plan: ExecutionPlan) -> None:
    call = plan.chains[0].instructions[-1].instr_args
    call.args = call.args[:-1]


def large_buffer(plan: ExecutionPlan) -> None:
    plan.non_const_buffer_sizes[1] = 200_001


def third_buffer(plan: ExecutionPlan) -> None:
    plan.non_const_buffer_sizes.append(16)


def constant_as_input(plan: ExecutionPlan) -> None:
    plan.inputs[0] = index_of(plan, tensors(plan, True)[0])


CHANGES = [
    (fewer_arguments, "instruction 1: aten::embedding.out has 6 arguments, which is not their number"),
    (other_types, "aten::embedding.out has arguments of other types than it takes"),
    (other_operator, r"aten::add\.out is no operator that the exporter writes"),
    (writes_to_a_constant, "aten::embedding.out writes to a constant"),
    (delegate_writes_to_a_constant, "a call of XNNPACK with a tensor that has not the shape"),
    (instruction(FreeCall(0)), "instruction 0: is none that the exporter writes"),
    (instruction(MoveCall(0, 1)), "instruction 0: is none that the exporter writes"),
    (instruction(JumpFalseCall(0, 0)), "instruction 0: is none that the exporter writes"),
    (argument_beyond, "instruction 0: a value that does not exist"),
    (operator_beyond, "an operator that does not exist"),
    (two_chains, "more than one chain"),
    (other_delegate, "a delegate that is not XNNPACK"),
    (delegate_options, "a delegate with options"),
    (delegate_beyond, "a delegate that does not exist"),
    (delegate_argument_missing, "a call of XNNPACK with 6 tensors, for a graph of 7"),
    (large_buffer, "activations of 200001 bytes, of which the manifest says at most 200000"),
    (third_buffer, "more than one buffer"),
    (constant_as_input, "an input that is a constant"),
    (field("scalar_type", ScalarType.DOUBLE), "none of float32, int64 and uint8"),
    (field("storage_offset", 4), "a layout that is not fixed"),
    (field("shape_dynamism", TensorShapeDynamism.DYNAMIC_BOUND), "a layout that is not fixed"),
    (field("sizes", [1, 4, 1 << 10, 1 << 10]), "a tensor outside its buffer"),
    (field("sizes", [1, 4, 8, -1]), "a tensor without elements"),
    (field("sizes", [2**31 - 1] * 3, constant=True), "odd rank|without all of its data"),
    (field("dim_order", b"\0\2\1\3"), "not contiguous"),
    (field("allocation_info", AllocationDetails(1, 8, 0)), "not aligned"),
    (field("allocation_info", AllocationDetails(1, 0xFFFFFFF0, 0xFFFFFFFF)), "outside its buffer"),
    (field("allocation_info", AllocationDetails(2, 0, 0)), "memory of another kind"),
    (field("allocation_info", None), "a tensor without memory"),
    (field("data_buffer_idx", 99, constant=True), "a constant that does not exist"),
    (field("allocation_info", AllocationDetails(1, 0, 0), constant=True), "a constant that can be written to"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=[message[:40] for _, message in CHANGES])
def test_program(tmp_path, tiny_files, change, message):
    file = deserialize_pte_binary(tiny_files["transformer.pte"])
    change(file.program.execution_plan[0])
    data = bytes(serialize_pte_binary(file, extract_delegate_segments=True))
    refuse(tmp_path, tiny_files | {"transformer.pte": data}, message)


def test_a_program_that_is_written_again_is_the_same(tmp_path, tiny_files):
    """So what the changes above are refused for is the change."""
    data = bytes(
        serialize_pte_binary(deserialize_pte_binary(tiny_files["transformer.pte"]), extract_delegate_segments=True)
    )
    with Pipeline(tiny_model.write_bundle(tmp_path, tiny_files | {"transformer.pte": data})) as pipeline:
        pipeline.generate(0, steps=1)


def test_a_program_of_ones_own_can_be_trusted(tmp_path, tiny_files, tiny_bundle):
    """XNNPACK does not read its options: refused without trust, and the same picture with it."""
    file = deserialize_pte_binary(tiny_files["transformer.pte"])
    delegate_options(file.program.execution_plan[0])
    data = bytes(serialize_pte_binary(file, extract_delegate_segments=True))
    bundle = tiny_model.write_bundle(tmp_path / "bundle", tiny_files | {"transformer.pte": data})
    with pytest.raises(InvalidBundleError):
        Pipeline(bundle)
    with Pipeline(bundle, trust_programs=True) as trusted, Pipeline(tiny_bundle) as checked:
        assert (trusted.generate(0, seed=3, steps=2) == checked.generate(0, seed=3, steps=2)).all()


def constants(program: Table) -> Table:
    return program.table(5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: setattr(constants(root).numbers(1, "<Q")[1], "value", 8), "a constant that is not aligned"),
        (lambda root: setattr(constants(root).numbers(1, "<Q")[1], "value", 1 << 40), "behind the end of its segment"),
        (lambda root: setattr(root.tables(4)[0].number(1, "<Q"), "value", 16), "constant"),
        (lambda root: setattr(root.tables(4)[1].number(1, "<Q"), "value", 1 << 40), "behind the end of the file"),
        (lambda root: setattr(root.tables(4)[1].number(0, "<Q"), "value", 264), "a segment that is not aligned"),
        (lambda root: setattr(root.tables(7)[0].number(1), "value", 99), "a segment that does not exist"),
    ],
)
def test_segments(tmp_path, tiny_files, change, message):
    data = bytearray(tiny_files["transformer.pte"])
    change(Table.root(data))
    refuse(tmp_path, tiny_files | {"transformer.pte": bytes(data)}, message)


def repeated(program: bytes, field: int, count: int) -> bytes:
    """A program whose vector of tables in this field of the root goes on with its first item ``count`` times."""
    data = bytearray(program)
    root = Table.root(data)
    size = struct.unpack_from("<H", data, root.offset - struct.unpack_from("<i", data, root.offset)[0] + 2)[0]
    items = [table.offset for table in root.tables(field)]
    items += items[:1] * count
    at, added = root.offset + size, (4 + 4 * len(items) + 15) // 16 * 16
    for number in range(1, 8):  # what the root leads to moves on
        with contextlib.suppress(KeyError):
            root.number(number).value += added
    root.number(field).value = at - root.number(field).offset
    places = [item + added - (at + 4 + 4 * i) for i, item in enumerate(items)]
    vector = struct.pack(f"<{1 + len(items)}I", len(items), *places)
    for place in (16, 24):  # the sizes in the header
        struct.pack_into("<Q", data, place, struct.unpack_from("<Q", data, place)[0] + added)
    return bytes(data[:at]) + vector.ljust(added, b"\0") + bytes(data[at:])


@pytest.mark.parametrize("field", [1, 4, 7], ids=["methods", "segments", "named data"])
def test_tables_that_are_shared(tmp_path, tiny_files, field):
    """One more item of a vector costs a file 4 bytes, and could cost all that its table leads to once more."""

    def bundle(count: int) -> Path:
        data = repeated(tiny_files["vae_decoder.pte"], field, count)
        return tiny_model.write_bundle(tmp_path / str(count), tiny_files | {"vae_decoder.pte": data})

    Pipeline(bundle(0)).close()
    many = bundle(600_000)
    began = time.process_time()
    with pytest.raises(InvalidBundleError, match="more tables and items than any program"):
        Pipeline(many)
    assert time.process_time() - began < 2


def value_of(graph: Table, condition: Callable[[Table], bool]) -> Table:
    return next(v for v in (value.table(1) for value in graph.tables(2)) if condition(v))


def node_of(graph: Table, kind: int) -> Table:
    return next(node.table(1) for node in graph.tables(1) if node.number(0, "<B").value == kind)


def has(table: Table, number: int) -> bool:
    try:
        return table.number(number).value > 0
    except KeyError:
        return False


ADD, CONVOLUTION, TRANSPOSE, RESHAPE = 1, 7, 5, 20
GRAPHS = [
    (lambda g: g.number(3), 9, "a call of XNNPACK with 7 tensors, for a graph of 7"),
    (lambda g: g.tables(1)[0].number(0, "<B"), 14, "XNNPACK's node of kind 14 is none"),
    (lambda g: value_of(g, lambda v: has(v, 4)).number(4), 77, "a number that cannot be|that has not the shape"),
    (lambda g: g.tables(2)[0].table(1).numbers(2)[0], 3, "has not the shape"),
    (lambda g: g.tables(2)[1].table(1).numbers(2)[1], 9, r"of the shape \[1, 9, 8, 4\] where .* \[1, 8, 8, 4\]"),
    (lambda g: g.tables(2)[1].table(1).numbers(2)[1], 2**31, "over a terabyte|of the shape"),
    (lambda g: g.tables(2)[1].table(1).number(0, "<h"), 2, "a type that the exporter does not write"),
    (lambda g: value_of(g, lambda v: has(v, 3)).number(3), 40, "an XNNPACK constant that does not exist"),
    (lambda g: value_of(g, lambda v: has(v, 3)).numbers(2)[0], 4096, "without all of its data"),
    (lambda g: node_of(g, TRANSPOSE).numbers(1)[1], 0, "a transposition that is none|transposition that is none"),
    (lambda g: node_of(g, TRANSPOSE).numbers(1)[1], 1 << 30, "transposition that is none"),
    (lambda g: node_of(g, RESHAPE).numbers(1)[0], 5, "has not the shape which its node makes"),
    (lambda g: node_of(g, CONVOLUTION).number(4), 1 << 24, "numbers that cannot be"),
    (lambda g: node_of(g, CONVOLUTION).number(6), 0, "numbers that cannot be"),
    (lambda g: node_of(g, CONVOLUTION).number(0), 7, "of the shape"),
    (lambda g: node_of(g, CONVOLUTION).number(10), 2, "of another input"),
    (lambda g: node_of(g, CONVOLUTION).number(16), 0, "weights of another type"),
    (lambda g: node_of(g, ADD).number(0), 999, "an XNNPACK value that does not exist"),
    (lambda g: node_of(g, ADD).number(0), 24, "reads what no node before it made"),
    (lambda g: g.tables(1)[-1].table(1).number(2), 23, "an XNNPACK value that is made twice"),
]


@pytest.mark.parametrize(("place", "value", "message"), GRAPHS, ids=[str(i) for i in range(len(GRAPHS))])
def test_graph(tmp_path, tiny_files, place, value, message):
    """One number of XNNPACK's graph is another."""
    data = bytearray(tiny_files["transformer.pte"])
    place(xnnpack_graphs(data)[0]).value = value
    refuse(tmp_path, tiny_files | {"transformer.pte": bytes(data)}, message)


@pytest.mark.parametrize("field", ["xnodes", "xvalues", "input_ids", "output_ids", "constant_data"])
def test_offsets_that_lead_out_of_a_graph(tmp_path, tiny_files, field):
    """XNNPACK does not check them."""
    number = {"xnodes": 1, "xvalues": 2, "input_ids": 4, "output_ids": 5, "constant_data": 8}[field]
    data = bytearray(tiny_files["transformer.pte"])
    xnnpack_graphs(data)[0].number(number).value = 0x7FFFFFFC
    refuse(tmp_path, tiny_files | {"transformer.pte": bytes(data)}, "the flatbuffer is damaged")


def test_the_first_channels_of_a_result(tmp_path, tiny_files, tiny_programs):
    """Networks that learn a variance have more channels than the noise that is taken."""
    files = tiny_files | {"vae_decoder.pte": tiny_programs["first_channels"]}
    with Pipeline(tiny_model.write_bundle(tmp_path, files)) as pipeline:
        pipeline.generate(0, steps=1)


def test_all_that_the_exporter_writes_passes(emoji_bundle):
    """The reference model, its image decoder and its quantized convolutions, drawn with both ways to load."""
    for load_mode in ("mmap", "read"):
        with Pipeline(emoji_bundle, load_mode=load_mode, memory_limit_bytes=1 << 30) as pipeline:
            pipeline.generate(0, steps=1)
