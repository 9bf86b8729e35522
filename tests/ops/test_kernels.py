# SPDX-License-Identifier: Apache-2.0
"""Each instruction set of this processor against the definition (hqdit_mobile.ops.fp4_linear), bit by bit."""

import ctypes
import functools
import itertools
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import (
    INPUTS,
    ISAS,
    ROTATIONS,
    Case,
    assert_same_bits,
    extreme_case,
    make_case,
    many_blocks_cases,
    random_case,
    token,
)

from hqdit_mobile.ops import native


def test_the_best_is_in_use():
    assert native.library().hqdit_isa().decode() == native.available_isas()[0]
    assert native.available_isas()[-1] == "scalar"


def test_an_absent_instruction_set_is_an_error_that_lists_the_others():
    available = native.available_isas()
    with pytest.raises(ValueError, match="cannot use 'vax': .*; it has " + ", ".join(available) + "$"):
        native.use_isa("vax")
    assert native.library().hqdit_isa().decode() == available[0]


def test_random_layers(isa):
    @given(st.integers(0, 2**32))
    def check(seed):
        case = random_case(seed)
        assert_same_bits(case.native(), case.reference())

    check()


def test_one_and_two_tokens(isa):
    """They have kernels of their own; random layers are rarely so small."""

    @given(st.integers(0, 2**32))
    def check(seed):
        case = random_case(seed)
        case.x = case.x[: 1 + seed % 2]
        assert_same_bits(case.native(), case.reference())

    check()


def pairwise(isa: str, index: int) -> list[str]:
    """Activations for the index-th value of a parameter: all of them on the instruction set that every machine has, one
    on each other, in turn, so that every two of (instruction set, value, activation) meet."""
    every = ["int8", "fp4", "e2m1"]
    return every if isa == "scalar" else [every[(ISAS.index(isa) + index) % 3]]


def test_the_largest_sums(isa):
    """Weights and activations at their limits, against int64: no sum of a few products in 16 bits may overflow."""

    @given(st.integers(0, 2**32))
    def check(seed):
        case = extreme_case(seed)
        exact = case.x.astype(np.int64) @ native_lattice(case).T
        np.testing.assert_array_equal(case.native(), exact.astype(np.float32))

    check()


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_rotations(isa, rotation):
    for activation in pairwise(isa, ROTATIONS.index(rotation)):
        case = make_case(
            rotation, 3, 17, 2 * rotation, group=16, rotation=rotation, activation=activation, activation_group=32
        )
        case.x = np.random.default_rng(rotation).standard_normal(case.x.shape, np.float32)
        assert_same_bits(case.native(), case.reference())


@pytest.mark.parametrize("kind", INPUTS)
def test_awkward_inputs(isa, kind):
    for activation in pairwise(isa, INPUTS.index(kind)):
        case = make_case(3, 5, 33, 208, group=16, rotation=1, activation=activation, activation_group=16)
        case.x = np.stack([token(np.random.default_rng(row), kind, 208) for row in range(5)])
        case.pre = None
        out = case.native()
        assert_same_bits(out, case.reference())
        assert np.isnan(out).all() == (kind in ("nan", "infinite"))


@pytest.mark.parametrize("activation", ["fp4", "e2m1"])
def test_every_magnitude(isa, activation):
    """All 1921 values of |t| with every multiplier: the vectors' division by 8 r is exact."""
    t = np.arange(1921)
    rows = np.zeros((120, 1936), np.float32)
    for row, g in enumerate(np.linspace(16, 1920, 120).astype(int)):
        rows[row, : g + 1] = t[: g + 1] * np.where(t[: g + 1] % 3 == 0, -1, 1)
        rows[row, -1] = 1920  # fixes the scale: x is t
    for group in (16, 32, 1920):
        case = make_case(1, 1, 16, 1936, group=1936, rotation=1, activation=activation, activation_group=group)
        case.x, case.pre = rows, None
        assert_same_bits(case.native(), case.reference())


def test_every_code_and_table(isa):
    """A one-hot token reads a single weight, so the output is the lattice point itself."""
    grids = [[0, 1, 2, 3, 4, 6, 8, 12]] * 10 + [list(range(8))] * 18 + [[0, 1, 2, 4, 8, 16, 32, 64]]
    multipliers = [*range(1, 11), *range(1, 19), 1]
    codes = np.zeros((2, 1, 16, 16), np.uint8)
    codes[:] = np.arange(16) | (np.arange(16)[::-1] << 4)
    ids = np.minimum(np.arange(32), 28).astype(np.uint8)
    case = Case(
        x=np.eye(32, dtype=np.float32) * 127, codes=codes, tables=ids.reshape(2, 1, 16), scale=np.ones(29, np.float32),
        bias=None, pre=None, n=29, group=32, rotation=1, activation="int8", activation_group=16,
    )  # fmt: skip
    order = [*range(16), *range(15, -1, -1)]
    expected = [
        [127 * multipliers[n] * grids[n][code & 7] * (-1 if code & 8 else 1) for n in range(29)] for code in order
    ]
    np.testing.assert_array_equal(case.native(), np.array(expected, np.float32))


@pytest.mark.parametrize("rows", [1, 9])
def test_the_largest_accumulator(isa, rows):
    """K at its limit with every product at its largest, against int64."""
    k = 133_120
    for sign in (1, -1):
        case = make_case(0, rows, 16, k, group=k, rotation=1, activation="int8", activation_group=16)
        case.x = np.full((rows, k), 127 * sign, np.float32)
        case.codes[:], case.tables[:] = 0x77, 27  # 18 * 7
        case.scale, case.bias, case.pre = np.ones(16, np.float32), None, None
        assert np.int64(127) * 126 * k < 2**31
        np.testing.assert_array_equal(case.native(), np.float32(np.int64(127) * 126 * k * sign))


EXTREMES = {"E2M1": (9, 7, 120), "E1M2": (27, 7, 126), "E3M0": (28, 7, 64)}  # table, code, |weight| at its largest


@pytest.mark.parametrize("rows", [1, 2, 14])
def test_no_sum_of_extremes_overflows(isa, rows):
    """Every product at its largest, of either sign, in each grid and in all mixed, against int64: what is added up in
    16 bits on the way has room for it."""
    rng, k = np.random.default_rng(6), 208
    choices = [[e] for e in EXTREMES.values()] + [list(EXTREMES.values())]
    for grids in choices:
        for signs in ([1], [-1], [1, -1]):
            case = make_case(6, rows, 50, k, group=16, rotation=1, activation="int8", activation_group=16)
            picked = rng.integers(len(grids), size=case.tables.shape)  # [block, group, channel]
            case.tables[:] = np.array([id for id, _, _ in grids], np.uint8)[picked]
            weight_signs = rng.choice(signs, (50, k))
            low, high = np.zeros((2, *case.codes.shape), np.uint8)
            weights = np.zeros((50, k), np.int64)
            for n in range(50):
                for i in range(k):
                    _, code, most = grids[picked[n // 16, i // 16, n % 16]]
                    weights[n, i] = weight_signs[n, i] * most
                    half = low if i % 32 < 16 else high
                    half[n // 16, i // 32, n % 16, i % 16] = code + 8 * (weight_signs[n, i] < 0)
            case.codes = low | high << 4
            case.scale, case.bias, case.pre = np.ones(50, np.float32), None, None
            for tokens in (np.full((rows, k), 127), np.full((rows, k), -127), rng.choice([127, -127], (rows, k))):
                case.x = tokens.astype(np.float32)
                np.testing.assert_array_equal(case.native().astype(np.int64), tokens @ weights.T)


def grid_values(rng: np.random.Generator, count: int, total: int) -> np.ndarray:
    """Indices into the E2M1 grid whose values come to ``total``, in any order."""
    grid = np.array([0, 1, 2, 3, 4, 6, 8, 12])
    codes = rng.integers(5, 8, count)
    while (excess := grid[codes].sum() - total) != 0:
        i = rng.integers(count)
        codes[i] = np.clip(codes[i] - np.sign(excess), 0, 7)
    return codes


@functools.cache  # for all instruction sets
def case_at_the_limit(total: int) -> tuple[Case, np.ndarray]:
    """A case and its exact sums: of each 16 weights those of one sign come to ``total``."""
    rng, rows, n, k = np.random.default_rng(total), 14, 32, 64
    case = make_case(7, rows, n, k, group=16, rotation=1, activation="int8", activation_group=16)
    case.tables[:], case.codes[:] = 9, 0
    case.scale, case.bias, case.pre = np.ones(n, np.float32), None, None
    for channel in range(n):
        for group in range(k // 16):
            most = grid_values(rng, 12 if channel % 2 else 16, total)
            others = rng.integers(0, 8, 16 - len(most)) + 8
            codes = rng.permutation(np.concatenate([most, others])) ^ (8 if channel % 4 > 1 else 0)
            nibbles = codes.astype(np.uint8) << 4 * (group % 2)
            case.codes[channel // 16, group // 2, channel % 16] |= nibbles
    weights = native_lattice(case)
    tokens = np.full((rows, k), 127)
    tokens[1] = -127
    tokens[2:] = np.where(weights[rng.choice(n, rows - 2, replace=False)] < 0, -127, 127)
    case.x = tokens.astype(np.float32)
    return case, tokens @ weights.T


@pytest.mark.parametrize("total", range(126, 133))
def test_sums_at_the_limit_of_16_bits(isa, total):
    """16 weights of which those of one sign come to about 128, times tokens at their limits, against int64: a token
    raised to 255 brings 128 to 32,640, and 129 to more than 16 bits hold."""
    case, exact = case_at_the_limit(total)
    np.testing.assert_array_equal(case.native().astype(np.int64), exact)


@pytest.mark.parametrize("group", [16, 48])
def test_more_tokens_and_inputs_than_one_pass_holds(isa, group):
    case = make_case(4, 141, 50, 2336, group=group, rotation=1, activation="int8", activation_group=16)
    case.x = np.random.default_rng(4).standard_normal(case.x.shape, np.float32)
    for threads in (1, 2):
        assert_same_bits(case.native(threads), case.reference())


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(("k", "group"), [(4176, 16), (4192, 16), (4192, 48)])
def test_few_tokens_and_more_inputs_than_one_pass_holds(isa, rows, k, group):
    """Kernels for them read the tables of some thousand inputs at a time. E3M0, whose values alone are large, comes
    last, in the second of two blocks."""
    case = make_case(k, rows, 24, k, group=group, rotation=1, activation="int8", activation_group=16)
    case.x = np.stack([token(np.random.default_rng(row), "normal", k) for row in range(rows)])
    case.tables %= 28
    case.tables[1, -1, 3] = 28
    assert_same_bits(case.native(), case.reference())


def test_few_tokens_and_many_blocks(isa):
    for case in many_blocks_cases():
        assert_same_bits(case.native(), case.reference())


@pytest.mark.parametrize("activation", ["int8", "fp4"])
def test_the_integer_part(isa, activation):
    """Tokens whose quantized values are the inputs themselves: what is left is an int64 product."""
    rng = np.random.default_rng(5)
    case = make_case(5, 23, 50, 320, group=16, rotation=1, activation=activation, activation_group=16)
    case.bias = case.pre = None
    case.scale = np.ones(50, np.float32)
    top, grid = (127, np.arange(-127, 128)) if activation == "int8" else (120, 10 * np.array([0, 1, 2, 3, 4, 6, 8, 12]))
    case.x = rng.choice(grid, (23, 320)).astype(np.float32)
    case.x[:, ::16] = top
    flat = native_lattice(case)
    expected = case.x.astype(np.int64) @ flat.T
    np.testing.assert_array_equal(case.native().astype(np.int64), expected)


def native_lattice(case: Case) -> np.ndarray:
    """int64 [n, k], from docs/fp4-linear.md."""
    grids = [np.array([0, 1, 2, 3, 4, 6, 8, 12]), np.arange(8), np.array([0, 1, 2, 4, 8, 16, 32, 64])]
    tables = np.array([grids[0] * r for r in range(1, 11)] + [grids[1] * r for r in range(1, 19)] + [grids[2]])
    n, k = np.arange(case.n)[:, None], np.arange(case.x.shape[1])
    byte = case.codes[n // 16, k // 32, n % 16, k % 16]
    code = np.where(k % 32 < 16, byte & 15, byte >> 4)
    value = tables[case.tables[n // 16, k // case.group, n % 16], code & 7]
    return np.where(code & 8, -value, value)


@pytest.mark.parametrize(("rows", "n"), [(600, 16), (300, 200), (1100, 200), (1, 3000), (70, 1000)])
def test_threads_change_nothing(isa, rows, n):
    case = make_case(rows, rows, n, 384, group=16, rotation=32, activation="fp4", activation_group=16)
    case.x = np.random.default_rng(0).standard_normal(case.x.shape, np.float32)
    expected = case.reference()
    for threads in (1, 2, 7):
        assert_same_bits(case.native(threads), expected)


@pytest.mark.parametrize(("rows", "n"), [(1, 70), (2, 33), (45, 300), (300, 200)])
def test_gelu_of_the_finished_tiles(isa, rows, n):
    case = make_case(rows, rows, n, 96, group=16, rotation=32, activation="int8", activation_group=16)
    case.x = np.random.default_rng(0).standard_normal(case.x.shape, np.float32)
    case.bias = np.zeros(n, np.float32)
    exact = torch.nn.functional.gelu(torch.from_numpy(case.reference()).double(), approximate="tanh")
    case.gelu = True
    out = case.native(threads=2)
    assert_same_bits(out, case.reference())
    torch.testing.assert_close(torch.from_numpy(out).double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rotation": 20}, "rotation must be 2^p"),
        ({"rotation": 64}, "rotation must divide"),
        ({"group": 24}, "group must be a multiple of 16"),
        ({"activation_group": 0, "activation": "fp4"}, "activation_group must be a multiple of 16"),
        ({"tables": np.full((1, 6, 16), 29, np.uint8)}, "tables holds an id above 28"),
        ({"n": 0}, "out_features must be"),
        ({"scale": None}, "an argument has another type"),
    ],
)
def test_bad_layers_are_refused(change, reason):
    case = make_case(0, 2, 16, 96, group=16, rotation=1, activation="int8", activation_group=16)
    for name, value in change.items():
        setattr(case, name, value)
    with pytest.raises(ValueError, match=reason.replace("^", r"\^")):
        case.native()


def test_loading_twice_registers_once(tmp_path):
    """A second copy of the library, as in an app that bundles its own, must not end the process."""
    path = native.library_path("hqdit_ops")
    runtime = path.parent.parent.parent / "executorch" / "lib"
    copy = shutil.copy(path, tmp_path / "second.so")
    program = (
        f"import ctypes; first, second = [ctypes.CDLL(p) for p in ('{path}', '{copy}')]; "
        "[lib.hqdit_register_ops() for lib in (first, second, first)]; print('alive')"
    )
    environment = {"LD_LIBRARY_PATH": str(runtime), "PATH": ""}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout == "alive\n", result.stderr


def best_peak() -> float:
    """In GOPS on one thread; a measurement may be disturbed."""
    return max(native.library().hqdit_int8_peak_gops(1) for _ in range(3))


def test_the_peak_is_the_processors_whatever_kernels_are_in_use():
    """Of two sets of kernels on one processor the slower has the smaller fraction of the peak."""
    peaks = dict.fromkeys(native.available_isas(), 0.0)
    for _ in range(10):
        for name in peaks:
            native.use_isa(name)
            peaks[name] = max(peaks[name], best_peak())
        if max(peaks.values()) < 1.1 * min(peaks.values()):
            break
    native.use_isa(native.available_isas()[0])
    assert max(peaks.values()) < 1.1 * min(peaks.values()), peaks


def test_products_come_near_the_peak_and_stay_below_it():
    rows, n, k = 240, 1152, 1152
    case = make_case(0, rows, n, k, group=16, rotation=1, activation="int8", activation_group=16)
    best = {}
    for name in native.available_isas():
        native.use_isa(name)
        start = [time.perf_counter()]
        for _ in range(20):
            case.native()
            start.append(time.perf_counter())
        best[name] = 2e-9 * rows * n * k / min(end - begin for begin, end in itertools.pairwise(start))
    native.use_isa(native.available_isas()[0])
    peak = best_peak()
    assert 0.1 * peak < max(best.values()) < peak, (peak, best)


def test_missing_library_says_what_to_do():
    with pytest.raises(FileNotFoundError, match="pip install"):
        native.library_path("no_such")
    assert isinstance(native.library(), ctypes.CDLL)
