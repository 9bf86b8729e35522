# SPDX-License-Identifier: Apache-2.0
"""A whole DiT as ONNX: the file, and what it computes with our kernels and without."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx_cases import CLASSES, run, session, small_dit

from hqdit_mobile.export.lowering.denoiser import Denoiser, GuidedDenoiser
from hqdit_mobile.export.lowering.onnx.lower import IR_VERSION, OPSET, save_onnx, transformer_to_onnx
from hqdit_mobile.ops.native import library_path
from hqdit_mobile.runtime.engine import InvalidBundleError
from hqdit_mobile.runtime.onnx_session import open_session
from hqdit_mobile.util.metrics import snr_db

NODE_PACKAGE = "onnxruntime-node@1.30.0"


@pytest.fixture(scope="module")
def dit():
    return small_dit()


@pytest.fixture(scope="module")
def model(dit) -> onnx.ModelProto:
    return transformer_to_onnx(dit)


def inputs(labels: list[int]) -> dict[str, torch.Tensor]:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    return {"latents": latents, "timestep": torch.tensor([321.0]), "labels": torch.tensor(labels)}


def test_file_is_as_stated(model):
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == IR_VERSION
    assert {(o.domain, o.version) for o in model.opset_import} == {("", OPSET), ("hqdit", 1)}
    names = {"FP4Linear", "FP4LinearGelu", "QkvAttentionInt8", "ModulatedNorm", "GatedAdd", "GeluTanh"}
    assert {f.name for f in model.functions} >= names
    codes = [t for t in model.graph.initializer if t.name.endswith((".codes", ".tables"))]
    assert len(codes) == 2 * sum(node.op_type in ("FP4Linear", "FP4LinearGelu") for node in model.graph.node)
    assert all(t.data_type == onnx.TensorProto.UINT8 for t in codes)
    text = str(model)
    assert str(Path(__file__).parents[2]) not in text and "site-packages" not in text


@pytest.mark.parametrize("threads", [1, 2])
def test_native_has_the_bits_of_torch(dit, model, threads):
    with torch.no_grad():
        guided = GuidedDenoiser(dit, fused=True)(*inputs([2]).values())
        single = Denoiser(dit, fused=True)(*inputs([2]).values())
    assert torch.equal(run(model, True, threads, **inputs([2, CLASSES])), guided)
    assert torch.equal(run(model, True, threads, **inputs([2])), single)


@pytest.mark.parametrize("activation", ["int8", pytest.param("fp4", marks=pytest.mark.slow)])
def test_portable_agrees_with_torch(dit, model, activation):
    if activation == "fp4":
        dit = small_dit(activation)
        model = transformer_to_onnx(dit)
    with torch.no_grad():
        expected = GuidedDenoiser(dit, fused=True)(*inputs([2]).values())
    assert snr_db(expected, run(model, False, **inputs([2, CLASSES]))) > 35


def test_external_data_of_two_models_in_one_folder(model, tmp_path):
    expected = run(model, False, **inputs([1]))
    files = [save_onnx(onnx.ModelProto.FromString(model.SerializeToString()), tmp_path / name, external_above=1000)
             for name in ("a.onnx", "b.onnx", "a.onnx")]  # fmt: skip
    assert [f.name for f in files[0]] == ["a.onnx", "a.onnx.data"] and files[0] == files[2]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.onnx", "a.onnx.data", "b.onnx", "b.onnx.data"]
    assert files[0][1].stat().st_size == files[1][1].stat().st_size, "written twice, it must not grow"
    assert files[0][0].stat().st_size < 100_000
    values = {name: tensor.numpy() for name, tensor in inputs([1]).items()}
    for native in (False, True):
        options = onnxruntime.SessionOptions()
        if native:
            options.register_custom_ops_library(str(library_path("hqdit_ort")))
        got = onnxruntime.InferenceSession(files[1][0], options).run(None, values)[0]
        assert snr_db(expected, got) > 35
    files[0][1].write_bytes(files[0][1].read_bytes()[:5000])
    with pytest.raises(InvalidBundleError, match=r"cannot load a\.onnx.*copy the whole bundle again"):
        open_session(files[0][0])


NODE_CLIENT = """
const ort = require('onnxruntime-node');
const fs = require('fs');
const f32 = (file) => new Float32Array(Uint8Array.from(fs.readFileSync(file)).buffer);
(async () => {
  const session = await ort.InferenceSession.create('model.onnx');
  const feeds = {
    latents: new ort.Tensor('float32', f32('latents.bin'), [1, 4, 8, 8]),
    timestep: new ort.Tensor('float32', Float32Array.from([321]), [1]),
    labels: new ort.Tensor('int64', BigInt64Array.from([2n, 5n]), [2]),
  };
  const { noise } = await session.run(feeds);
  fs.writeFileSync('noise.bin', Buffer.from(noise.data.buffer, noise.data.byteOffset, noise.data.byteLength));
})();
"""


@pytest.mark.parametrize("external_above", [1000, 1 << 30])
def test_a_graph_that_breaks_the_standard_is_refused(model, tmp_path, external_above):
    broken = onnx.ModelProto.FromString(model.SerializeToString())
    broken.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(onnx.checker.ValidationError, match="NoSuchOperator"):
        save_onnx(broken, tmp_path / "broken.onnx", external_above)


@pytest.fixture(scope="module")
def node_modules(kept) -> Path:
    """The folder that has onnxruntime-node."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs node and npm")

    def install(folder: Path) -> None:
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", NODE_PACKAGE]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot get {NODE_PACKAGE}: {done.stderr.strip().splitlines()[-1:]}")

    return kept("onnxruntime-node", f"{NODE_PACKAGE} {platform.platform()}", install) / "node_modules"


def test_node_client(node_modules, model, dit, tmp_path):
    """An independent client with another binding and another build of ONNX Runtime: no Python, nothing of ours."""
    save_onnx(model, tmp_path / "model.onnx")
    inputs([2])["latents"].numpy().tofile(tmp_path / "latents.bin")
    (tmp_path / "client.js").write_text(NODE_CLIENT)
    environment = os.environ | {"NODE_PATH": str(node_modules)}
    done = subprocess.run(
        ["node", "client.js"], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    noise = np.fromfile(tmp_path / "noise.bin", np.float32).reshape(2, 4, 8, 8)
    with torch.no_grad():
        expected = GuidedDenoiser(dit, fused=True)(*inputs([2]).values())
    assert snr_db(expected, noise) > 35


def test_weights_stay_four_bit_in_memory(model, tmp_path):
    """With our kernels the session's graph keeps the stored codes; nothing is folded."""
    session(model, True, optimized=str(tmp_path / "native.onnx"))
    kept = onnx.load(tmp_path / "native.onnx").graph.initializer
    stored = sum(np.prod(t.dims) for t in model.graph.initializer if t.name.endswith(".codes"))
    assert sum(np.prod(t.dims) for t in kept if t.data_type == onnx.TensorProto.UINT8 and len(t.dims) == 4) == stored
    assert not any(t.data_type == onnx.TensorProto.INT8 for t in kept)
