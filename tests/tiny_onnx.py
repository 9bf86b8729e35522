# SPDX-License-Identifier: Apache-2.0
"""An ONNX bundle of two graphs of a few nodes that need no operator of ours: to test the pipeline, not the DiT."""

from pathlib import Path

import numpy as np
import onnx
import tiny_model
from onnx.external_data_helper import convert_model_to_external_data

from hqdit_mobile.runtime.onnx_pipeline import OPERATOR_VERSION

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
TRANSFORMER, DECODER, WEIGHTS = "transformer.pte", "vae_decoder.pte", "transformer_data.pte"


def graph(nodes, inputs, output, constants) -> onnx.ModelProto:
    tensors = [onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    values = [onnx.helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    result = onnx.helper.make_tensor_value_info(*output)
    made = onnx.helper.make_graph(nodes, "tiny", values, [result], tensors)
    opset = onnx.helper.make_opsetid("", 20)
    return onnx.helper.make_model(made, opset_imports=[opset], ir_version=9)


def transformer(factor: float) -> onnx.ModelProto:
    """Whose noise is the latents by a factor, which it has for every value."""
    node, latents = onnx.helper.make_node, ("latents", FLOAT, [1, *tiny_model.LATENT])
    return graph(
        [
            node("Mul", ["latents", "factors"], ["product"]),
            node("Shape", ["labels"], ["batch"]),
            node("Concat", ["batch", "rest"], ["shape"], axis=0),
            node("Expand", ["product", "shape"], ["noise"]),
        ],
        [latents, ("timestep", FLOAT, [1]), ("labels", INT64, ["batch"])],
        ("noise", FLOAT, ["batch", *tiny_model.LATENT]),
        {
            "rest": np.array(tiny_model.LATENT, np.int64),
            "factors": np.full((1, *tiny_model.LATENT), factor, np.float32),
        },
    )


def decoder() -> onnx.ModelProto:
    node, latents = onnx.helper.make_node, ("latents", FLOAT, [1, *tiny_model.LATENT])
    return graph(
        [
            node("Slice", ["latents", "zero", "three", "one"], ["colours"]),
            node("Resize", ["colours", "", "scales"], ["image"], mode="nearest"),
        ],
        [latents],
        ("image", FLOAT, [1, *tiny_model.IMAGE]),
        {
            **{name: np.array([value], np.int64) for name, value in (("zero", 0), ("three", 3), ("one", 1))},
            "scales": np.array([1, 1, 2, 2], np.float32),
        },
    )


def make_files(folder: Path, factor: float, external: str | None = None) -> dict[str, bytes]:
    """``external``: the name of a file for the transformer's weights. ``folder``: a new one, to write files to."""
    folder.mkdir(parents=True)
    made = transformer(factor)
    if external is not None:
        convert_model_to_external_data(made, location=external, size_threshold=512)
    onnx.save_model(made, folder / TRANSFORMER)
    onnx.save_model(decoder(), folder / DECODER)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def make_manifest(files: dict[str, bytes]) -> dict:
    about = {"opset": 20, "ir_version": 9, "operator_domain": "hqdit", "operator_version": OPERATOR_VERSION}
    about |= {"oldest_runtime": "1.17", "native_library": "libhqdit_ort", "portable": True}
    return tiny_model.make_manifest(files) | {"runtime": "onnxruntime", "onnx": about}


def write_bundle(folder: Path, factor: float = 1.0, external: str | None = None) -> Path:
    files = make_files(folder, factor, external)
    return tiny_model.write_bundle(folder, files, make_manifest(files))
