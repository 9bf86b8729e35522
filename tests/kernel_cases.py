# SPDX-License-Identifier: Apache-2.0
"""Random fp4_linear layers with awkward sizes and inputs, their reference outputs, and a file format for them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch

from hqdit_mobile.ops import native
from hqdit_mobile.ops.fp4_linear import ACTIVATIONS, fp4_linear_reference

ARM = platform.machine() in ("aarch64", "arm64")
ARM_ISAS = ["neon", "dotprod", "i8mm"]
ISAS = ["scalar", *(ARM_ISAS if ARM else ["avx2", "avxvnni", "avx512vnni", "avx512vbmi", "amx"])]
ROTATIONS = [1, 2, 8, 16, 32, 64, 128, 256, 12, 24, 96, 192, 384, 28, 56, 224, 448, 36, 72, 288, 576]
INPUTS = [
    "normal", "outlier", "ties", "sixteenths", "zero", "minus zero", "denormal", "tiny", "huge", "nan", "infinite",
]  # fmt: skip


def token(rng: np.random.Generator, kind: str, k: int) -> np.ndarray:
    """One row of inputs."""
    x = rng.standard_normal(k)
    if kind == "outlier":
        x[rng.integers(k)] *= 300
    if kind == "ties":  # 127 / amax is 1, so that x has halves and whole numbers
        x = np.clip(np.round(x * 80) / 2, -127, 127)
        x[rng.integers(k)] = 127
    if kind == "sixteenths":  # 1920 / amax is 1, so that x is on and next to the decision points
        x = 8.0 * rng.integers(-240, 241, k) + rng.integers(-1, 2, k) / 2
        x[rng.integers(k)] = -1920
    if kind == "zero":
        x = np.zeros(k)
    if kind == "minus zero":
        x = np.where(rng.random(k) < 0.5, -0.0, x)
    if kind == "denormal":
        x = x * 1e-40
    if kind == "tiny":  # around the limit below which a token counts as zero
        x = x * 2.0**-101
    if kind == "huge":  # a rotation may overflow
        x = x * 3e37
    if kind == "nan":
        x[rng.integers(k)] = np.nan
    if kind == "infinite":
        x[rng.integers(k)] = -np.inf
    return x.astype(np.float32)


@dataclass
class Case:
    x: np.ndarray  # [rows, k]
    codes: np.ndarray
    tables: np.ndarray
    scale: np.ndarray
    bias: np.ndarray | None
    pre: np.ndarray | None
    n: int
    group: int
    rotation: int
    activation: str
    activation_group: int
    gelu: bool = False

    @property
    def arguments(self) -> list:
        """As the operator takes them."""
        tensors = [self.x, self.codes, self.tables, self.scale, self.bias, self.pre]
        return [None if t is None else torch.from_numpy(t) for t in tensors] + [
            self.n, self.group, self.rotation, self.activation, self.activation_group,
        ]  # fmt: skip

    def reference(self) -> np.ndarray:
        out = fp4_linear_reference(*self.arguments)
        # The kernel's bits, which the tests of the step operators compare with float64.
        return (torch.ops.hqdit.gelu_tanh(out) if self.gelu else out).numpy()

    def native(self, threads: int = 1) -> np.ndarray:
        name = "fp4_linear_gelu" if self.gelu else "fp4_linear"
        return native.call(name, self.arguments, (len(self.x), self.n), threads=threads).numpy()

    def to_bytes(self) -> bytes:
        """As tests/native/kernel_driver.cpp reads it."""
        header = [
            len(self.x), self.n, self.x.shape[1], self.group, self.rotation, ACTIVATIONS.index(self.activation),
            self.activation_group, self.bias is not None, self.pre is not None, self.gelu,
        ]  # fmt: skip
        arrays = [self.x, self.codes, self.tables, self.scale, self.bias, self.pre]
        return np.array(header, np.int64).tobytes() + b"".join(a.tobytes() for a in arrays if a is not None)


def make_case(
    seed: int, rows: int, n: int, k: int, *, group: int, rotation: int, activation: str, activation_group: int
) -> Case:
    """Random weights of every table, also where the padding is; each token of a random kind."""
    rng = np.random.default_rng(seed)
    blocks = -(-n // 16)
    signs = rng.choice(np.array([-1, 1], np.float32), k) / np.float32(np.sqrt(rotation))
    return Case(
        x=np.stack([token(rng, INPUTS[rng.integers(len(INPUTS))], k) for _ in range(rows)]),
        codes=rng.integers(0, 256, (blocks, -(-k // 32), 16, 16), dtype=np.uint8),
        # Half of the cases without E3M0, which alone has large grid values.
        tables=rng.integers(0, rng.choice([28, 29]), (blocks, -(-k // group), 16), dtype=np.uint8),
        scale=(rng.standard_normal(n) * 0.01).astype(np.float32),
        bias=rng.standard_normal(n).astype(np.float32) if rng.random() < 0.7 else None,
        pre=signs if rng.random() < 0.5 else None,
        n=n,
        group=group,
        rotation=rotation,
        activation=activation,
        activation_group=activation_group,
    )


def random_case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    rotation = int(rng.choice(ROTATIONS)) if rng.random() < 0.7 else 1
    k = rotation * int(rng.integers(1, max(2, 400 // rotation)))
    sizes = [16, 32, 64, 128, k, k + 5]
    case = make_case(
        seed + 1,
        rows=int(rng.integers(1, 20)),
        n=int(rng.integers(1, 120)),
        k=k,
        group=int(rng.choice(sizes)),
        rotation=rotation,
        activation=str(rng.choice(ACTIVATIONS)),
        activation_group=int(rng.choice(sizes)),
    )
    case.gelu = bool(rng.random() < 0.3)
    return case


def extreme_case(seed: int) -> Case:
    """The largest weights of every format, one sign or runs of one, times tokens of nothing but 127 and -127."""
    rng = np.random.default_rng(seed)
    k = 16 * int(rng.integers(1, 40))
    case = make_case(
        seed, int(rng.integers(1, 20)), int(rng.integers(1, 70)), k,
        group=int(rng.choice([16, 32, 48, 64, k])), rotation=1, activation="int8", activation_group=16,
    )  # fmt: skip
    largest = [0x77, 0xFF, 0x7F, 0xF7]  # by nibble: both 7, both -7, and one of each
    case.codes[:] = rng.choice(largest, case.codes.shape) if rng.random() < 0.5 else rng.choice(largest)
    case.tables[:] = rng.choice([0, 9, 27, 28])  # E2M1 of multipliers 1 and 10, E1M2 of 18, E3M0
    signs = rng.choice([-1, 1], case.x.shape) if rng.random() < 0.5 else rng.choice([-1, 1], (len(case.x), 1))
    case.x = (127.0 * np.broadcast_to(signs, case.x.shape)).astype(np.float32)
    case.scale[:], case.bias, case.pre = 1.0, None, None
    return case


def many_blocks_cases() -> list[Case]:
    """One token and two times so many channels that a thread takes first eight blocks of 16 at a time, the most there
    are, then fewer and fewer, and the last in part."""
    cases, n = [], 600
    for seed, (rows, k, group) in enumerate(product((1, 2), (200, 384, 2336), (16, 48))):
        case = make_case(
            seed, rows, n, k, group=group, rotation=1, activation=ACTIVATIONS[seed % 3], activation_group=16
        )
        case.bias = None if seed % 4 < 2 else np.random.default_rng(seed).standard_normal(n).astype(np.float32)
        cases.append(case)
    return cases


def assert_same_bits(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal float by float; any NaN equals any other."""
    different = (actual.view(np.int32) != expected.view(np.int32)) & ~(np.isnan(actual) & np.isnan(expected))
    places = np.argwhere(different)
    assert not different.any(), (
        f"{len(places)} of {actual.size} differ; first at {places[0]}: {actual[tuple(places[0])]!r} "
        f"instead of {expected[tuple(places[0])]!r}"
    )


def write_cases(path: Path, cases: list[Case]) -> None:
    path.write_bytes(b"".join(case.to_bytes() for case in cases))


def read_outputs(path: Path, cases: list[Case]) -> list[np.ndarray]:
    floats = np.fromfile(path, np.float32)
    counts = [len(case.x) * case.n for case in cases]
    assert len(floats) == sum(counts)
    return [
        part.reshape(len(case.x), case.n)
        for part, case in zip(np.split(floats, np.cumsum(counts)[:-1]), cases, strict=True)
    ]
