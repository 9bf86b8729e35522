# SPDX-License-Identifier: Apache-2.0
"""The same layers and models in ONNX Runtime: float32, dynamic int8, 4-bit weights, and our operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from hqdit_mobile.bench.timing import Runner
from hqdit_mobile.ops.native import library_path

if TYPE_CHECKING:
    from torch import nn

OPSET = 20
IR_VERSION = 9
NBITS_BLOCK = 128
FLOAT = "ONNX Runtime float32"
INT8_ACCURACY = 4  # MatMulNBits multiplies in int8: its fastest mode


def linear_model(layers: Sequence[nn.Linear]) -> onnx.ModelProto:
    """x [M, K] through one layer after another to [M, N], each as MatMul and Add, M symbolic."""
    nodes, weights, last = [], [], "x"
    for i, layer in enumerate(layers):
        weight = np.ascontiguousarray(layer.weight.detach().numpy().T)
        weights.append(numpy_helper.from_array(weight, f"weight{i}"))
        weights.append(numpy_helper.from_array(layer.bias.detach().numpy(), f"bias{i}"))
        nodes.append(helper.make_node("MatMul", [last, f"weight{i}"], [f"xw{i}"]))
        nodes.append(helper.make_node("Add", [f"xw{i}", f"bias{i}"], [last := f"y{i}"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["M", layers[0].in_features])
    y = helper.make_tensor_value_info(last, TensorProto.FLOAT, ["M", layers[-1].out_features])
    graph = helper.make_graph(nodes, "linear", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def variants(float32: Path) -> dict[str, Path]:
    """The peers: the model in ``float32`` and, written beside it, what ONNX Runtime's own tools make of it."""
    int8, nbits = float32.with_suffix(".int8.onnx"), float32.with_suffix(".nbits.onnx")
    _dynamic_int8(float32, int8)
    _matmul_nbits(float32, nbits)
    return {
        FLOAT: float32,
        "ONNX Runtime dynamic int8": int8,
        "ONNX Runtime MatMulNBits": nbits,
    }


def _dynamic_int8(source: Path, target: Path) -> None:
    """Weights int8 per output channel, inputs uint8 at run time: the pair that ONNX Runtime is fastest with. Where it
    saturates, weights of 7 bits, as ONNX Runtime's documentation asks there."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    settings = {"weight_type": QuantType.QInt8, "per_channel": True, "reduce_range": not u8_s8_is_exact()}
    quantize_dynamic(source, target, op_types_to_quantize=["MatMul"], **settings)


def u8_s8_is_exact() -> bool:
    """Whether ONNX Runtime multiplies uint8 by int8 without saturation on this processor; x86 without VNNI does not."""
    a, w = np.full((16, 64), 255, np.uint8), np.full((64, 32), 127, np.int8)
    node = helper.make_node("MatMulInteger", ["a", "w"], ["y"])
    given = helper.make_tensor_value_info("a", TensorProto.UINT8, a.shape)
    result = helper.make_tensor_value_info("y", TensorProto.INT32, (16, 32))
    graph = helper.make_graph([node], "product", [given], [result], [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    (y,) = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"a": a})
    return np.array_equal(y, a.astype(np.int32) @ w.astype(np.int32))


def _matmul_nbits(source: Path, target: Path) -> None:
    """Symmetric 4-bit weights, one scale per block of NBITS_BLOCK."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel

    # It passes over Gemm, which the int8 tool rewrites by itself.
    model = ONNXModel(onnx.load(source))
    model.replace_gemm_with_matmul()
    quantizer = MatMulNBitsQuantizer(
        model.model, block_size=NBITS_BLOCK, is_symmetric=True, accuracy_level=INT8_ACCURACY
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(target))


def session(path: Path, threads: int, ours: bool = False) -> ort.InferenceSession:
    """``ours``: with our operators registered, for files that hold them."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Its threads spin while it runs, and must not while others are timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if ours:
        options.register_custom_ops_library(str(library_path("hqdit_ort")))
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def runner(opened: ort.InferenceSession, inputs: Mapping[str, np.ndarray]) -> Runner:
    """A call without copies: inputs are bound, and the output stays in the runtime's memory."""
    binding = opened.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(value))
    output = opened.get_outputs()[0].name
    binding.bind_output(output)

    return lambda: opened.run_with_iobinding(binding)
