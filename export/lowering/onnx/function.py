# SPDX-License-Identifier: Apache-2.0
"""hqdit.FP4Linear and FP4LinearGelu as model-local ONNX functions: docs/fp4-linear.md in standard operators.

Inputs x, codes, tables, scale, bias, pre; integer attributes group, rotation, activation (0 int8, 1 fp4, 2 e2m1) and
activation_group. One body serves every layer: what depends on attributes and initializers alone, branches included, is
folded by the runtime when it loads the file, and an int8 layer is left with some 15 nodes around one MatMulInteger.
So is a trial of MatMulInteger: where uint8 by int8 saturates, the weights become uint8 (_product). A registered kernel
(export/bindings/onnxruntime_operators.cpp) goes before the body.
"""

from __future__ import annotations

import numpy as np
from onnx import AttributeProto, FunctionProto, TensorProto
from onnx.helper import make_function, make_node, make_opsetid

from hqdit_mobile.export.lowering.onnx.body import Body
from hqdit_mobile.ops.formats import E1M2, E2M1, Format, lookup_tables
from hqdit_mobile.ops.fp4_linear import SMALLEST_AMAX
from hqdit_mobile.ops.rotation import PALEY_PRIMES, hadamard

DOMAIN = "hqdit"
NAME = "FP4Linear"
GELU_NAME = "FP4LinearGelu"
OPSET = 20
INPUTS = ("x", "codes", "tables", "scale", "bias", "pre")
ATTRIBUTES = ("group", "rotation", "activation", "activation_group")
ACTIVATION_IDS = {"int8": 0, "fp4": 1, "e2m1": 2}

TRIAL = (16, 64, 32)  # rows, inputs and outputs: enough for the kernels that whole layers run
SINGLE_PRODUCT = 512  # a larger rotation is two products of sizes that multiply to it, with slow transposes between
ZERO_POINT = 128


def fp4_linear_function() -> FunctionProto:
    """The function, for opset OPSET and IR version 8 or later."""
    b = Body()
    k, n = b.op("Shape", "pre"), b.op("Shape", "scale")
    weight = _weight(b, n, k)
    x = _rotate(b, b.op("Mul", "x", "pre"), k)
    is_int8 = b.op("Equal", b.attribute("activation"), b.i64(ACTIVATION_IDS["int8"]))
    points, token_scale = b.choose(is_int8, lambda i: _int8(i, x), lambda i: _fp4(i, x, k))
    acc = _product(b, points, weight)
    out = b.op("Mul", b.op("Cast", acc, to=TensorProto.FLOAT), b.op("Mul", _one(b, token_scale), "scale"))
    out = b.op("Add", b.op("Mul", out, b.op("Unsqueeze", token_scale, b.i64([1]))), "bias")
    shape = b.op("Concat", b.op("Shape", "x", start=0, end=-1), n, axis=0)
    b.op("Reshape", out, shape, output="y")
    opsets = [make_opsetid("", OPSET)]
    return b.function(DOMAIN, NAME, INPUTS, ["y"], ATTRIBUTES, opsets)


def fp4_linear_gelu_function() -> FunctionProto:
    """GeluTanh of FP4Linear, as two nodes: a kernel library that knows only those two still runs it natively."""
    linear = make_node(NAME, INPUTS, ["linear"], domain=DOMAIN)
    for name in ATTRIBUTES:
        linear.attribute.append(AttributeProto(name=name, ref_attr_name=name, type=AttributeProto.INT))
    gelu = make_node("GeluTanh", ["linear"], ["y"], domain=DOMAIN)
    opsets = [make_opsetid(DOMAIN, 1)]
    return make_function(DOMAIN, GELU_NAME, INPUTS, ["y"], [linear, gelu], opsets, ATTRIBUTES)


def _one(b: Body, token_scale: str) -> str:
    """1, but not before the run. ONNX Runtime merges an integer product, its Cast and a product with two scales into
    one operator; a constant would be folded into the second scale, and then there are not two."""
    return b.op("Pow", b.op("ReduceMax", token_scale, keepdims=0), b.constant(np.float32(0)))


def _product(b: Body, points: str, weight: str) -> str:
    """points uint8 [M, K] less ZERO_POINT times weight int8 [K, N], int32 and exact on every processor.

    uint8 by int8 is the fast pair of MatMulInteger. On x86 processors without VNNI, ONNX Runtime adds two of its
    products in int16 by an instruction that saturates; uint8 by uint8 takes another, slower instruction there. A
    product of the largest values says which processor this is, and the runtime knows it before the run.
    """
    zero_point = b.constant(np.uint8(ZERO_POINT))
    largest = b.constant(np.full(TRIAL[:2], 255, np.uint8)), b.constant(np.full(TRIAL[1:], 127, np.int8))
    trial = b.op("MatMulInteger", *largest)
    exact = b.op("Equal", b.op("ReduceMin", trial, keepdims=0), b.constant(np.int32(TRIAL[1] * 255 * 127)))

    def shifted(i: Body) -> list[str]:
        wide = i.op("Add", i.op("Cast", weight, to=TensorProto.INT32), i.constant(np.int32(ZERO_POINT)))
        return [i.op("MatMulInteger", points, i.op("Cast", wide, to=TensorProto.UINT8), zero_point, zero_point)]

    (product,) = b.choose(exact, lambda i: [i.op("MatMulInteger", points, weight, zero_point)], shifted)
    return product


def _weight(b: Body, n: str, k: str) -> str:
    """The int8 lattice points [K, N]. The runtime keeps every step until the whole file is folded, so they are few, and
    small but for the indices, which must be int32: 11 bytes a weight in all."""
    low = b.op("BitwiseAnd", "codes", b.constant(np.uint8(15)))
    high = b.op("BitShift", "codes", b.constant(np.uint8(4)), direction="RIGHT")
    blocks = b.op("Shape", "codes", start=1, end=2)
    width = b.op("Mul", blocks, b.i64([32]))
    first_inputs = b.op("Range", b.i64(0), b.op("Squeeze", width), b.i64(32))
    last_group = b.op("Sub", b.op("Shape", "tables", start=1, end=2), b.i64([1]))
    halves = []
    for codes, offset in ((low, 0), (high, 16)):
        group = b.op("Div", b.op("Add", first_inputs, b.i64(offset)), b.attribute("group"))
        ids = b.op("Gather", "tables", b.op("Min", group, last_group), axis=1)  # [nb, kb, i]
        rows = b.op("Gather", b.constant(lookup_tables().numpy()), b.op("Cast", ids, to=TensorProto.INT32))
        halves.append(b.op("GatherElements", rows, b.op("Cast", codes, to=TensorProto.INT32), axis=3))
    lattice = b.op("Transpose", b.op("Concat", *halves, axis=3), perm=[1, 3, 0, 2])  # [kb, input, nb, i]
    padded = b.op("Reshape", lattice, b.op("Concat", width, b.i64([-1]), axis=0))
    return b.op("Slice", padded, b.i64([0, 0]), b.op("Concat", k, n, axis=0))


def _rotate(b: Body, x: str, k: str) -> str:
    """x [..., K] -> x H [M, K]. H of order m 2^p is H_left (x) H_right, with H_right of order 2^q.

    q is p up to SINGLE_PRODUCT, else the least with 2^q >= the square root of the order, where two products cost least.
    """
    order = b.op("Unsqueeze", b.attribute("rotation"), b.i64([0]))
    # The powers that the four odd factors would leave; the first that is one of two wins.
    factors = b.i64([1, *PALEY_PRIMES])
    powers = b.op("Div", order, factors)
    exact = b.op("Equal", b.op("Mul", powers, factors), order)
    single_bit = b.op("Equal", b.op("BitwiseAnd", powers, b.op("Sub", powers, b.i64(1))), b.i64(0))
    valid = b.op("Cast", b.op("And", exact, single_bit), to=TensorProto.INT32)
    chosen = b.op("ArgMax", valid, axis=0, keepdims=1)
    power = b.op("Gather", powers, chosen)
    sizes = b.i64([2**q for q in range(13)])
    below = b.op("Cast", b.op("Less", b.op("Mul", sizes, sizes), order), to=TensorProto.INT64)
    balanced = b.op("Gather", sizes, b.op("ReduceSum", below))
    small = b.op("LessOrEqual", order, b.i64([SINGLE_PRODUCT]))
    right = b.op("Min", power, b.op("Where", small, power, balanced))
    left = b.op("Div", order, right)
    h_right = _power_of_two_hadamard(b, right)
    h_left = _kronecker(b, _paley(b, chosen), _power_of_two_hadamard(b, b.op("Div", power, right)), left)
    blocks = b.op("Concat", b.i64([-1]), left, right, axis=0)

    def rotated(i: Body) -> list[str]:
        y = i.op("MatMul", i.op("Reshape", x, blocks), h_right)
        two = i.op("Greater", i.op("Squeeze", left), i.i64(1))
        return i.choose(two, lambda j: [rotated_left(j, y)], lambda j: [j.op("Identity", y)])

    # Transposed and as one matrix, because a runtime makes thousands of small products of H_left times y.
    def rotated_left(i: Body, y: str) -> str:
        rows = i.op("Reshape", i.op("Transpose", y, perm=[0, 2, 1]), i.op("Concat", i.i64([-1]), left, axis=0))
        product = i.op("MatMul", rows, i.op("Transpose", h_left, perm=[1, 0]))
        columns = i.op("Reshape", product, i.op("Concat", i.i64([-1]), right, left, axis=0))
        return i.op("Transpose", columns, perm=[0, 2, 1])

    wanted = b.op("Greater", b.attribute("rotation"), b.i64(1))
    (y,) = b.choose(wanted, rotated, lambda i: [i.op("Identity", x)])
    return b.op("Reshape", y, b.op("Concat", b.i64([-1]), k, axis=0))


def _power_of_two_hadamard(b: Body, order: str) -> str:
    """H[i][j] = (-1)^popcount(i & j) float32, for an int64 [1] order of at most 2^13."""
    index = b.op("Range", b.i64(0), b.op("Squeeze", order), b.i64(1))
    bits = b.op("Div", b.op("Unsqueeze", index, b.i64([1])), b.i64([2**s for s in range(13)]))
    bits = b.op("Cast", b.op("Mod", bits, b.i64(2)), to=TensorProto.FLOAT)
    common = b.op("MatMul", bits, b.op("Transpose", bits, perm=[1, 0]))
    odd = b.op("Mod", b.op("Cast", common, to=TensorProto.INT64), b.i64(2))
    return b.op("Cast", b.op("Sub", b.i64(1), b.op("Mul", odd, b.i64(2))), to=TensorProto.FLOAT)


def _paley(b: Body, chosen: str) -> str:
    """The [m, m] matrix of the chosen odd factor, cut out of all of them."""
    orders = [1, *PALEY_PRIMES]
    matrices = np.concatenate([hadamard(order).numpy().reshape(-1) for order in orders])
    starts = np.cumsum([0] + [order * order for order in orders])
    m = b.op("Gather", b.i64(orders), chosen)
    start, end = b.op("Gather", b.i64(starts[:-1]), chosen), b.op("Gather", b.i64(starts[1:]), chosen)
    flat = b.op("Slice", b.op("Cast", b.constant(matrices), to=TensorProto.FLOAT), start, end)
    return b.op("Reshape", flat, b.op("Concat", m, m, axis=0))


def _kronecker(b: Body, a: str, c: str, order: str) -> str:
    product = b.op("Mul", b.op("Unsqueeze", a, b.i64([1, 3])), b.op("Unsqueeze", c, b.i64([0, 2])))
    return b.op("Reshape", product, b.op("Concat", order, order, axis=0))


def _amax(b: Body, x: str) -> str:
    """Per token [M], large enough to divide by; NaN and infinity stay."""
    largest = b.op("ReduceMax", b.op("Abs", x), b.i64([1]), keepdims=0)
    return b.op("Max", largest, b.constant(np.float32(SMALLEST_AMAX)))


def _int8(b: Body, x: str) -> list[str]:
    """x [M, K] -> (lattice points + 128 uint8 [M, K], token scale [M])."""
    scale = b.op("Div", _amax(b, x), b.constant(np.float32(127)))
    zero_point = b.op("Expand", b.constant(np.uint8(ZERO_POINT)), b.op("Shape", scale))
    return [b.op("QuantizeLinear", x, scale, zero_point, axis=0), scale]


def _fp4(b: Body, x: str, k: str) -> list[str]:
    """As _int8, for the activations "fp4" and "e2m1". All values are integers in float32."""
    amax = _amax(b, x)
    factor = b.op("Unsqueeze", b.op("Div", b.constant(np.float32(1920)), amax), b.i64([1]))
    # Clipped as integers: a NaN becomes some number that Gather can take, and the token's scale brings it back.
    t = b.op("Cast", b.op("Round", b.op("Mul", x, factor)), to=TensorProto.INT32)
    t = b.op("Clip", t, b.constant(np.int32(-1920)), b.constant(np.int32(1920)))
    t = b.op("Cast", t, to=TensorProto.FLOAT)
    size = b.op("Min", b.op("Unsqueeze", b.attribute("activation_group"), b.i64([0])), k)
    padding = b.op("Mod", b.op("Neg", k), size)
    padded = b.op("Pad", t, b.op("Concat", b.i64([0, 0, 0]), padding, axis=0))
    groups = b.op("Reshape", padded, b.op("Concat", b.i64([-1]), size, axis=0))
    magnitude = b.op("Abs", groups)
    largest = b.op("ReduceMax", magnitude, b.i64([1]), keepdims=1)
    one = b.constant(np.float32(1))
    r1 = b.op("Max", b.op("Ceil", b.op("Div", largest, b.constant(np.float32(16 * E2M1.max)))), one)
    first = _nearest(b, magnitude, E2M1, r1)

    def best(i: Body) -> list[str]:
        r2 = i.op("Max", i.op("Ceil", i.op("Div", largest, i.constant(np.float32(16 * E1M2.max)))), one)
        smaller = [i.op("Max", i.op("Sub", r, one), one) for r in (r1, r2)]
        points, least = first, _error(i, magnitude, first)
        for format, multiplier in ((E1M2, r2), (E2M1, smaller[0]), (E1M2, smaller[1])):
            other = _nearest(i, magnitude, format, multiplier)
            error = _error(i, magnitude, other)
            better = i.op("Less", error, least)
            points, least = i.op("Where", better, other, points), i.op("Min", error, least)
        return [points]

    is_e2m1 = b.op("Equal", b.attribute("activation"), b.i64(ACTIVATION_IDS["e2m1"]))
    (points,) = b.choose(is_e2m1, lambda i: [i.op("Identity", first)], best)
    points = b.op("Reshape", b.op("Mul", points, b.op("Sign", groups)), b.op("Shape", padded))
    points = b.op("Slice", points, b.i64([0]), k, b.i64([1]))
    shifted = b.op("Cast", b.op("Add", points, b.constant(np.float32(ZERO_POINT))), to=TensorProto.UINT8)
    return [shifted, b.op("Div", amax, b.constant(np.float32(120)))]


def _nearest(b: Body, magnitude: str, format: Format, multiplier: str) -> str:
    """multiplier * the grid value nearest to magnitude / (16 multiplier); ties go up."""
    sums = [low + high for low, high in zip(format.grid, format.grid[1:], strict=False)]
    values = [format.grid[sum(s <= step for s in sums)] for step in range(sums[-1] + 1)]
    # A quotient of such integers is an integer or at least 1 / 144 away from one, so that floor is exact.
    step = b.op("Floor", b.op("Div", magnitude, b.op("Mul", multiplier, b.constant(np.float32(8)))))
    step = b.op("Cast", b.op("Min", step, b.constant(np.float32(sums[-1]))), to=TensorProto.INT32)
    return b.op("Mul", b.op("Gather", b.constant(np.array(values, np.float32)), step), multiplier)


def _error(b: Body, magnitude: str, points: str) -> str:
    difference = b.op("Sub", magnitude, b.op("Mul", points, b.constant(np.float32(16))))
    return b.op("ReduceSumSquare", difference, b.i64([1]), keepdims=1)
