# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and close() of the ONNX pipeline, on the bundle of tests/tiny_onnx.py."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from hqdit_mobile.runtime.engine import InvalidArgumentError
from hqdit_mobile.runtime.onnx_pipeline import OnnxPipeline

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    import tiny_onnx

    return tiny_onnx.write_bundle(tmp_path_factory.mktemp("onnx") / "bundle")


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
