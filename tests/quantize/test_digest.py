# SPDX-License-Identifier: Apache-2.0
"""Codes and latents keep their bits: what refactoring must not change, in digests of version 0.1.0.

Our own output is the reference here, and only here. Matrix products of torch differ between processors, so the digests
of what needs them hold on machines whose torch computes a few of them to the same bits.
"""

import hashlib

import numpy as np
import pytest
import torch
from tiny_dit import tiny_dit

from hqdit_mobile.diffusion.plan import plan
from hqdit_mobile.diffusion.process import Process, VariancePreserving
from hqdit_mobile.diffusion.trajectory import solver_step, trajectory
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.quantize.job import quantize_

PROCESS = Process(guided_channels=3)
MACHINE = "3e349d28e32cf11e"


def digest(*values) -> str:
    total = hashlib.sha256()
    for value in values:
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else value
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def machine() -> str:
    """Of what torch makes of the operations that quantization needs."""
    a = torch.randn(96, 96, generator=torch.Generator().manual_seed(0))
    s = (a @ a.T).double() + torch.eye(96).double()
    f = torch.nn.functional
    results = [
        a @ a,
        torch.linalg.cholesky(s),
        torch.linalg.inv(s),
        a.exp(),
        a.softmax(1),
        f.gelu(a, approximate="tanh"),
    ]
    results += [f.layer_norm(a, (96,)), a.sum(0), a.double().mean(1), f.silu(a), a.sin()]
    return digest(*results)


@pytest.fixture(autouse=True, scope="module")
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def same_arithmetic():
    if machine() != MACHINE:
        pytest.skip("torch computes other bits on this machine than where the digests were taken")


def noise() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((2, 4, 8, 8)).astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"precision": "w4a8"}, "552d0ca1e66f6d17"),
        ({"precision": "w4a4"}, "ede70f2502103b32"),
        ({"precision": "w4a8", "tuning_steps": 3}, "39a65ee18275beeb"),
    ],
)
def test_quantized_weights(same_arithmetic, settings, expected):
    model = tiny_dit()
    quantize_(model, HQDiTConfig(calibration_samples=2, calibration_steps=3, **settings), PROCESS)
    state = model.state_dict()
    assert len(state) == 67
    assert digest(*(state[name] for name in sorted(state))) == expected


def test_trajectory_of_a_network(same_arithmetic):
    walked = list(trajectory(tiny_dit(), PROCESS, noise(), torch.tensor([1, 5]), 4, 4.0))
    assert [t for t, *_ in walked] == [750, 500, 250, 0, None]
    assert digest(*(latents for _, latents, _ in walked)) == "4a294085bb3d02f9"
    assert digest(*(guided for *_, guided in walked)) == "0a736594e4d61670"


def test_steps_and_noise_levels():
    """On every machine: they need no more than what IEEE 754 rounds one way."""
    x, visited = noise(), []
    for step in plan(Process(), 5):
        x, _ = solver_step(step, x, 0.75 * x)
        visited.append(x)
    assert digest(*visited) == "81daeb2b7586fb5e"
    assert digest(VariancePreserving().levels) == "dedee3702d794718"
    scaled = VariancePreserving(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    assert digest(scaled.levels) == "40873f7067e7f82d"
