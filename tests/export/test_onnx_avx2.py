# SPDX-License-Identifier: Apache-2.0
"""The portable way on an x86 processor with AVX2 and without VNNI, where ONNX Runtime's uint8 by int8 saturates."""

import os
import platform
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx_cases import layer_model, random_layer

from hqdit_mobile.ops.fp4_linear import fp4_linear_reference
from hqdit_mobile.util.metrics import snr_db

CLIENT = """
import sys
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
for path in sys.argv[1:]:
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    np.save(path + ".y.npy", session.run(None, {name: np.load(path + ".x.npy")})[0])
"""


def run_client(folder, models, command, environment):
    """models: name -> (model, its input). The outputs, by a stock ONNX Runtime in a Python that command starts."""
    for name, (model, x) in models.items():
        (folder / name).write_bytes(model.SerializeToString())
        np.save(folder / f"{name}.x.npy", x)
    # An emulated program sees the modules of this process, wherever they were found.
    environment = environment | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [*command, sys.executable, "-c", CLIENT, *models]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, env=environment)
    if done.returncode and "CPU model" in done.stderr:
        pytest.skip(f"this qemu has no Haswell: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return {name: np.load(folder / f"{name}.y.npy") for name in models}


def integer_product(weight: np.ndarray) -> onnx.ModelProto:
    """a uint8 [M, K] -> a w int32 [M, N]."""
    helper = onnx.helper
    node = helper.make_node("MatMulInteger", ["a", "w"], ["y"])
    a = helper.make_tensor_value_info("a", onnx.TensorProto.UINT8, ["M", weight.shape[0]])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.INT32, ["M", weight.shape[1]])
    graph = helper.make_graph([node], "product", [a], [y], [onnx.numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def check_portable_layers(folder, command, environment):
    layers = {
        "int8": random_layer(48, 64, rotation=32),
        "one row": random_layer(40, 96, seed=1),
        "fp4": random_layer(33, 80, rotation=16, activation="fp4", seed=2),
    }
    generator = np.random.default_rng(0)
    models, expected = {}, {}
    for name, layer in layers.items():
        rows = 1 if name == "one row" else 9
        x = generator.standard_normal((rows, layer.in_features), np.float32)
        models[name] = (layer_model(layer, x.shape), x)
        expected[name] = fp4_linear_reference(*layer.operands(torch.from_numpy(x)))
    models["trial"] = (integer_product(np.full((64, 32), 127, np.int8)), np.full((16, 64), 255, np.uint8))
    got = run_client(folder, models, command, environment)
    assert (got["trial"] < 64 * 255 * 127).all(), "this processor shows no saturation, so it proves nothing"
    for name in layers:
        assert snr_db(expected[name], torch.from_numpy(got[name])) > 60, name


def test_portable_layer_without_vnni(masked, tmp_path):
    check_portable_layers(tmp_path, [], masked("avx512,avxvnni"))


@pytest.mark.slow
def test_portable_layer_on_an_emulated_haswell(tmp_path):
    emulator = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
    if platform.machine() != "x86_64" or emulator is None:
        pytest.skip("needs an x86-64 Python and qemu-x86_64 (Debian: qemu-user-static)")
    nothing_hidden = os.environ | {"LD_PRELOAD": ""}  # no emulated processor can make CPUID fault
    check_portable_layers(tmp_path, [emulator, "-cpu", "Haswell"], nothing_hidden)
