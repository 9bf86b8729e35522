# SPDX-License-Identifier: Apache-2.0
"""The step operators in ExecuTorch, on 64-bit ARM under QEMU, with AMX emulated, and under sanitizers."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from debian13 import run_in_debian13
from kernel_cases import ARM_ISAS, ISAS, assert_same_bits
from native_build import program_for
from torch import Tensor, nn

from hqdit_mobile.export.lowering.executorch import lower
from hqdit_mobile.ops import float_ops, native
from hqdit_mobile.util.metrics import snr_db

ops = torch.ops.hqdit
DRIVER = "float_ops_driver"
SHAPES = [(2, 3, 2, 9), (1, 17, 1, 31), (1, 33, 2, 127), (1, 77, 2, 72), (1, 130, 1, 64), (2, 1, 1, 8), (1, 70, 1, 100)]


def make_case(shape: tuple[int, int, int, int], extreme: bool = False) -> tuple[bytes, np.ndarray]:
    """What float_ops_driver reads, and what it should write: the same operators in this process, on one ISA."""
    b, t, heads, d = shape
    rng = np.random.default_rng(sum(shape))
    dim = heads * d
    arrays = [rng.standard_normal(size) * 3 for size in ((b, t, 3 * dim), (b, 6 * dim), (b, t, dim), (b, t, dim))]
    arrays[0][0, 0, :6] = [-0.0, 1e-40, -20, 20, 89, -300]
    arrays[0][-1, -1, -1] = np.nan
    arrays[2][-1, 0, 0] = -np.inf
    if extreme:  # all of q, k and v are 127 or -127 in int8, and so are most weights of the softmax
        arrays[0] = 3 * np.sign(rng.standard_normal(arrays[0].shape))
    qkv, modulation, x, y = (torch.from_numpy(a.astype(np.float32)) for a in arrays)
    outputs = [
        ops.attention(qkv, heads),
        ops.attention_int8(qkv, heads),
        ops.modulated_norm(x, modulation, 3, 4, 1e-6),
        ops.gated_add(x, modulation, 2, y),
        ops.gelu_tanh(qkv),
        ops.silu_f32(qkv),
        *(
            ops.group_norm_f32(x.view(1, b * t, dim), *[qkv.flatten()[: b * t]] * 2, b, 1e-6, silu)
            for silu in (False, True)
        ),
        ops.group_norm_given_f32(
            x.view(1, b * t, dim), *[qkv.flatten()[: b * t]] * 2, torch.full((b, 2), 0.5), b, 1e-6, True
        ),
        ops.linear_f32(x.flatten(0, 1), y.flatten(0, 1), qkv.flatten()[: b * t]),
        ops.timestep_embedding(qkv.flatten()[:6], y.flatten()[:dim]),
    ]
    inputs = np.array(shape, np.int64).tobytes() + b"".join(t.numpy().tobytes() for t in (qkv, modulation, x, y))
    return inputs, np.concatenate([out.numpy().ravel() for out in outputs])


@pytest.fixture(scope="module")
def cases() -> tuple[bytes, np.ndarray]:
    made = [make_case(shape) for shape in SHAPES] + [make_case(SHAPES[3], extreme=True)]
    return b"".join(inputs for inputs, _ in made), np.concatenate([outputs for _, outputs in made])


def run_here(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check(command: list, folder: Path, cases: tuple[bytes, np.ndarray], run=run_here) -> None:
    (folder / "cases").write_bytes(cases[0])
    result = run(*map(str, [*command, folder / "cases", folder / "outputs"]))
    assert result.returncode == 0, result.stdout + result.stderr
    assert_same_bits(np.fromfile(folder / "outputs", np.float32), cases[1])


@pytest.mark.parametrize("isa", native.available_isas())
def test_instruction_sets_agree(isa, cases):
    before = native.library().hqdit_isa().decode()
    try:
        for shape in [*SHAPES, (2, 256, 3, 64), (1, 256, 2, 72)]:
            native.use_isa(isa)
            here = make_case(shape)[1]
            native.use_isa("scalar")
            assert_same_bits(here, make_case(shape)[1])
    finally:
        native.use_isa(before)


@pytest.mark.parametrize("tokens", [64, 77])
def test_int8_attention_of_extremes(isa, tokens):
    """All of q, k and v are 127 or -127 in int8, and exact there: what is left is the rounding of the probabilities."""
    heads, dim = 2, 64
    signs = torch.randint(0, 2, (1, tokens, 3 * heads * dim), generator=torch.Generator().manual_seed(7))
    qkv = 2.0 * signs - 1.0
    got = ops.attention_int8(qkv, heads)
    q, k, v = qkv.double().view(1, tokens, 3, heads, dim).permute(2, 0, 3, 1, 4)
    exact = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, tokens, -1)
    assert snr_db(exact, got) > 35
    native.use_isa("scalar")
    assert_same_bits(got.numpy(), ops.attention_int8(qkv, heads).numpy())


@pytest.mark.parametrize("isa", ["scalar", *ARM_ISAS])
@pytest.mark.parametrize("threads", [1, 3])
def test_arm_gives_the_same_bits(arm_drivers, isa, threads, tmp_path, cases):
    check(["qemu-aarch64-static", "-cpu", "max", arm_drivers / DRIVER, isa, threads], tmp_path, cases)


@pytest.mark.parametrize("vector_bytes", [16, 64])
def test_sme2_gives_the_same_bits(sme2_drivers, vector_bytes, tmp_path, cases):
    processor = f"max,sme-default-vector-length={vector_bytes}"
    check(["qemu-aarch64", "-cpu", processor, sme2_drivers / DRIVER, "sme2", 3], tmp_path, cases, run_in_debian13)


@pytest.mark.parametrize("threads", [1, 3])
def test_amx_gives_the_same_bits(amx_drivers, threads, tmp_path, cases):
    check([program_for("amx", amx_drivers, DRIVER), "amx", threads], tmp_path, cases)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("isa", ISAS)
def test_sanitizers_find_nothing(sanitized_drivers, isa, threads, tmp_path, cases):
    check([program_for(isa, sanitized_drivers, DRIVER), isa, threads], tmp_path, cases)


class Block(nn.Module):
    """All four operators, wired as in a DiT block."""

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        normed = ops.modulated_norm(x, modulation, 0, 1, 1e-6)
        qkv = torch.cat([normed, 2 * normed, x], dim=-1)
        return ops.gelu_tanh(ops.gated_add(x, modulation, 2, ops.attention(qkv, 3)))


@pytest.mark.slow
def test_executorch_gives_the_same_bits():
    from executorch.runtime import Runtime

    torch.ops.load_library(str(native.library_path("hqdit_ops")))
    native.library().hqdit_register_ops()  # a second registration must not end the process
    block = Block()
    generator = torch.Generator().manual_seed(0)
    inputs = (torch.randn(2, 19, 48, generator=generator), torch.randn(2, 144, generator=generator))
    lowered = lower({"forward": (block, inputs)})
    assert {f"hqdit.{name}" for name in ("attention", "modulated_norm", "gated_add", "gelu_tanh")} <= {
        name.removesuffix(".default").removesuffix(".out").replace("::", ".") for name in lowered.operators
    }
    out = Runtime.get().load_program(lowered.data).load_method("forward").execute(list(inputs))[0]
    assert torch.equal(out, block(*inputs))
    exact = float_ops.gelu_tanh(
        float_ops.gated_add(inputs[0], inputs[1], 2, float_ops.attention(
            torch.cat([(n := float_ops.modulated_norm(*inputs, 0, 1, 1e-6)), 2 * n, inputs[0]], dim=-1), 3
        ))
    )  # fmt: skip
    torch.testing.assert_close(out, exact, rtol=1e-5, atol=1e-5)
