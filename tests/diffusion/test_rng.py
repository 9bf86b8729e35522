# SPDX-License-Identifier: Apache-2.0
"""The engine's random numbers: against published vectors, the normal distribution, and across machines."""

import ctypes
import math
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hqdit_mobile.diffusion import rng
from hqdit_mobile.runtime import abi as engine_abi

ROOT = Path(__file__).resolve().parents[2]
SAMPLER = ROOT / "export" / "sampler"
SEEDS = [0, 7, 2**64 - 1]
STREAMS = [0, 1, 2**32 - 1]
COUNT = 4099

# Random123 1.14, tests/kat_vectors, lines "philox4x32 10": counter, key, result.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def native_philox(counter: list[int], key: list[int]) -> list[int]:
    out = (ctypes.c_uint32 * 4)()
    engine_abi.library().hqdit_philox4x32((ctypes.c_uint32 * 4)(*counter), (ctypes.c_uint32 * 2)(*key), out)
    return list(out)


def native_normal(seed: int, stream: int, count: int) -> np.ndarray:
    out = np.empty(count, dtype=np.float32)
    function = engine_abi.library().hqdit_random_normal
    function.argtypes = [ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t]
    function.restype = None
    function(seed, stream, out.ctypes.data, count)
    return out


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_known_answers(counter, key, expected):
    result = rng.philox4x32(np.array([words(counter)], dtype=np.uint32), tuple(words(key)))
    assert result[0].tolist() == words(expected)
    assert native_philox(words(counter), words(key)) == words(expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("stream", STREAMS)
def test_engine_and_numpy_give_equal_bits(seed, stream):
    for count in (0, 1, 2, 3, 4, COUNT):
        expected = rng.normal(seed, stream, count)
        assert np.array_equal(native_normal(seed, stream, count).view(np.uint32), expected.view(np.uint32))


def test_transform_is_box_muller():
    """Against math.log, sin and cos: the polynomials are good to far below a float32's last bit."""
    counter = np.zeros((5000, 4), dtype=np.uint32)
    counter[:, 0] = np.arange(5000)
    blocks = rng.philox4x32(counter, (3, 0))
    expected = []
    for w in blocks.reshape(-1, 2).tolist():
        radius = math.sqrt(-2 * math.log((w[0] + 0.5) / 2**32))
        angle = 2 * math.pi * w[1] / 2**32
        expected += [radius * math.cos(angle), radius * math.sin(angle)]
    np.testing.assert_allclose(rng.normal(3, 0, 20000), np.array(expected), rtol=2**-24, atol=1e-15)


def test_polynomials_at_the_ends_of_their_ranges():
    turns = np.array([0, 1, 2**29 - 1, 2**29, 2**29 + 1, 2**30, 2**31, 3 * 2**30, 2**32 - 1], dtype=np.uint32)
    sin, cos = rng.sincos_of_turns(turns)
    angles = turns.astype(np.float64) * (2 * math.pi / 2**32)
    np.testing.assert_allclose(sin, np.sin(angles), atol=1e-15)
    np.testing.assert_allclose(cos, np.cos(angles), atol=1e-15)
    x = np.array([0.5 / 2**32, 1 - 0.5 / 2**32, 0.5, 2**-0.5, np.nextafter(2**-0.5, 1), 1.0, 2.0])
    np.testing.assert_allclose(rng.natural_log(x), np.log(x), rtol=3e-16)


def test_numbers_are_standard_normal():
    n = 1_000_000
    x = np.sort(rng.normal(2024, 0, n).astype(np.float64))
    standard_error = n**-0.5
    assert abs(x.mean()) < 5 * standard_error
    assert abs(x.var() - 1) < 5 * math.sqrt(2) * standard_error
    assert abs((x**3).mean()) < 5 * math.sqrt(15) * standard_error
    assert abs((x**4).mean() - 3) < 5 * math.sqrt(96) * standard_error
    sample = x[:: n // 20000]
    cdf = np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in sample])
    empirical = np.arange(0, n, n // 20000) / n
    # Kolmogorov-Smirnov: sqrt(n) D > 2.0 has probability 7e-4.
    assert math.sqrt(n) * np.abs(cdf - empirical).max() < 2.0


def test_streams_and_neighbours_are_independent():
    n = 200_000
    draws = [rng.normal(7, 0, n), rng.normal(7, 1, n), rng.normal(8, 0, n), np.roll(rng.normal(7, 0, n), 1)]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 5 * n**-0.5


@pytest.mark.parametrize(("seed", "stream"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**32)])
def test_out_of_range(seed, stream):
    with pytest.raises(ValueError, match="must be in"):
        rng.normal(seed, stream, 4)


SOURCES = ("rng", "portable_math", "noise_schedule", "process", "scheduler")


def build_and_run(compiler: str, runner: list[str], folder: Path) -> bytes:
    program = folder / "bits"
    sources = [SAMPLER / "src" / f"{name}.cpp" for name in SOURCES]
    includes = [f"-I{folder}" for folder in (SAMPLER / "include", SAMPLER / "src", ROOT / "export/kernels/include")]
    flags = ["-std=c++17", "-O3", "-ffp-contract=off", *includes]
    command = [compiler, *flags, *map(str, sources), str(ROOT / "tests" / "native" / "sampler_bits.cpp")]
    subprocess.run([*command, "-o", str(program)], check=True)
    return subprocess.run([*runner, str(program)], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def host_bits(tmp_path_factory) -> bytes:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler (c++, g++ or clang++) on the path")
    return build_and_run(compiler, [], tmp_path_factory.mktemp("host"))


@pytest.mark.slow
@pytest.mark.native
def test_driver_gives_numpys_bits(host_bits):
    expected = np.concatenate([rng.normal(seed, stream, COUNT) for seed in SEEDS for stream in STREAMS])
    assert host_bits[: expected.nbytes] == expected.tobytes()


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.arm
def test_arm64_gives_the_same_bits(host_bits, tmp_path):
    """Random numbers and whole DDIM and DPM-Solver++ trajectories."""
    if platform.machine() == "aarch64":
        pytest.skip("this machine is ARM64 itself: test_driver_gives_numpys_bits covers it")
    tools = ["aarch64-linux-gnu-g++", "qemu-aarch64-static"]
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(f"{' and '.join(missing)} not found (Debian: apt install g++-aarch64-linux-gnu qemu-user-static)")
    runner = ["qemu-aarch64-static", "-cpu", "max", "-L", "/usr/aarch64-linux-gnu"]
    assert build_and_run(tools[0], runner, tmp_path) == host_bits
