# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and close() of the ONNX pipeline, on a bundle of two graphs of a few nodes that need no operator of ours."""

import signal
import subprocess
import sys

import numpy as np
import pytest
import tiny_model

from hqdit_mobile.runtime.engine import InvalidArgumentError
from hqdit_mobile.runtime.onnx_pipeline import OPERATOR_VERSION, OnnxPipeline

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def graph(nodes, inputs, output, constants) -> bytes:
    tensors = [onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    values = [onnx.helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    result = onnx.helper.make_tensor_value_info(*output)
    made = onnx.helper.make_graph(nodes, "tiny", values, [result], tensors)
    opset = onnx.helper.make_opsetid("", 20)
    return onnx.helper.make_model(made, opset_imports=[opset], ir_version=9).SerializeToString()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    node, latents = onnx.helper.make_node, ("latents", FLOAT, [1, *tiny_model.LATENT])
    files = {
        "transformer.pte": graph(
            [
                node("Shape", ["labels"], ["batch"]),
                node("Concat", ["batch", "rest"], ["shape"], axis=0),
                node("Expand", ["latents", "shape"], ["noise"]),
            ],
            [latents, ("timestep", FLOAT, [1]), ("labels", INT64, ["batch"])],
            ("noise", FLOAT, ["batch", *tiny_model.LATENT]),
            {"rest": np.array(tiny_model.LATENT, np.int64)},
        ),
        "vae_decoder.pte": graph(
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
        ),
    }
    about = {"opset": 20, "ir_version": 9, "operator_domain": "hqdit", "operator_version": OPERATOR_VERSION}
    about |= {"oldest_runtime": "1.17", "native_library": "libhqdit_ort", "portable": True}
    manifest = tiny_model.make_manifest(files) | {"runtime": "onnxruntime", "onnx": about}
    return tiny_model.write_bundle(tmp_path_factory.mktemp("onnx") / "bundle", files, manifest)


DRAW = """
import signal, sys
from pathlib import Path
from hqdit_mobile.runtime.onnx_pipeline import OnnxPipeline
before = signal.getsignal(signal.SIGINT)
with OnnxPipeline(Path(sys.argv[1]), portable=True) as pipeline:
    steps = []
    def progress(update):
        steps.append(update.step)
        if len(steps) == 3: print("drawing", flush=True)
    try:
        pipeline.generate_batch(0, range(1000), steps=1000, progress=progress)
    except KeyboardInterrupt:
        pipeline.generate(0, steps=1)
        assert signal.getsignal(signal.SIGINT) is before and len(steps) < 1_000_000
        print("stopped", flush=True)
"""


def test_ctrl_c_stops_an_onnx_drawing(bundle):
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", DRAW, bundle], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "drawing\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("stopped\n", "", 0)


def test_a_closed_onnx_pipeline_says_so(bundle):
    pipeline = OnnxPipeline(bundle, portable=True)
    latents = np.zeros(pipeline.latent_shape, np.float32)
    with pytest.raises(InvalidArgumentError, match="the pipeline is closed"):
        pipeline.generate(0, steps=3, progress=lambda update: pipeline.close())
    pipeline.close()
    for call in (lambda: pipeline.decode(latents), lambda: pipeline.denoise(latents, 1.0, 0, guided=True)):
        with pytest.raises(InvalidArgumentError, match="the pipeline is closed"):
            call()


def test_names_by_the_same_rule(bundle):
    with OnnxPipeline(bundle, portable=True) as pipeline:
        expected = pipeline.generate(3, seed=1, steps=2)
        for label in ("3", "#3", "CLASS 3 \N{SLIGHTLY SMILING FACE}"):
            np.testing.assert_array_equal(pipeline.generate(label, seed=1, steps=2), expected)
        with pytest.raises(InvalidArgumentError, match="label must be in"):
            pipeline.generate(2**32)
