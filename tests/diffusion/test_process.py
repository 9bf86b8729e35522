# SPDX-License-Identifier: Apache-2.0
"""Processes: what they hold, their form in JSON, and what they refuse."""

import json

import numpy as np
import pytest
from diffusers import DDIMScheduler

from hqdit_mobile.diffusion.process import Flow, MultistepOptions, Process, ProcessError, VariancePreserving

BETAS = np.linspace(0.001, 0.03, 300).tolist()
PROCESSES = [
    Process(),
    Process(VariancePreserving(500, 0.00085, 0.012, "scaled_linear", 1, False), "sample", 3, spacing="linspace"),
    Process(VariancePreserving.cosine(100).with_zero_terminal_snr(), "v_prediction", clip_sample_range=2.0),
    Process(VariancePreserving.of_betas(BETAS), sampler="dpm-solver++", multistep=MultistepOptions(1, "heun", False)),
    Process(Flow(time_at_noise=0.0, time_at_data=1.0), "velocity", 3, spacing="trailing", sampler="euler"),
    Process(Flow("gvp", start=0.999, end=0.001, shift=3.0), "score", sampler="heun"),
]


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_json_and_back(process):
    assert Process.from_json(json.loads(json.dumps(process.to_json()))) == process


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (VariancePreserving(), {}),
        (VariancePreserving(700, 0.00085, 0.012, "scaled_linear"),
         {"num_train_timesteps": 700, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}),
        (VariancePreserving.of_betas(BETAS), {"trained_betas": BETAS}),
        (VariancePreserving.cosine(400), {"num_train_timesteps": 400, "beta_schedule": "squaredcos_cap_v2"}),
        (VariancePreserving().with_zero_terminal_snr(), {"rescale_betas_zero_snr": True}),
    ],
    ids=str,
)  # fmt: skip
def test_noise_levels_are_those_of_diffusers(ours, theirs):
    expected = DDIMScheduler(**theirs).alphas_cumprod.double().numpy()
    np.testing.assert_allclose(ours.levels, expected, rtol=1e-4, atol=3e-7)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VariancePreserving(beta_schedule="sigmoid"), "beta_schedule 'sigmoid' is not one of linear"),
        (lambda: VariancePreserving(beta_start=0.0), "betas must satisfy"),
        (lambda: VariancePreserving(beta_start=0.9, beta_end=0.99), "betas are too large"),
        (lambda: VariancePreserving(steps_offset=1000), "steps_offset must be a whole number in 0 .. 999"),
        (lambda: VariancePreserving(beta_schedule="tabulated"), "alphas_cumprod must hold 1000 numbers, not 0"),
        (lambda: VariancePreserving.of_betas([0.1, -0.1]), "alphas_cumprod must fall"),
        (lambda: Flow("cosine"), "interpolation 'cosine' is not one of linear, gvp"),
        (lambda: Flow(shift=0.0), "shift must be in"),
        (lambda: Flow(time_at_noise=0.0), "time_at_noise and time_at_data must differ"),
        (lambda: Flow(time_at_noise=float("nan")), "time_at_noise must be in"),
        (lambda: Flow(start=0.5, end=0.5), "start and end must satisfy"),
        (lambda: MultistepOptions(solver_order=3), "solver_order must be a whole number in 1 .. 2, not 3"),
        (lambda: Process(prediction="noise"), "prediction 'noise' is not one of epsilon"),
        (lambda: Process(prediction="velocity"), "'velocity' belongs to a process with a flow"),
        (lambda: Process(Flow(), "v_prediction"), "'v_prediction' belongs to a process with betas"),
        (lambda: Process(Flow(), "epsilon"), "says nothing at level 1"),
        (lambda: Process(sampler="euler"), "sampler must be one of ddim, dpm-solver\\+\\+, not 'euler'"),
        (lambda: Process(clip_sample_range=0.0), "clip_sample_range must be above 0"),
        (lambda: Process(Flow(), "velocity", clip_sample_range=1.0), "clip_sample_range .* belongs to"),
        (lambda: Process(guided_channels=0), "guided_channels must be"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ProcessError, match=message):
        build()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": None}, "path must be an object"),
        ({"path": {"kind": "vp"}}, "path.kind must be one of variance_preserving, flow, not 'vp'"),
        ({"path": {"kind": "flow", "sigma": 1}}, "path.sigma is not known"),
        ({"path": {"kind": "flow"}}, "path.end is missing"),
        ({"multistep": {}}, "multistep.euler_at_final is missing"),
        ({"eta": 1}, "eta is not known"),
        ({"path": Process().to_json()["path"] | {"beta_start": "small"}}, "path: a value has the wrong type"),
    ],
)
def test_json_that_is_no_process_is_refused(change, message):
    with pytest.raises(ProcessError, match=message):
        Process.from_json(Process().to_json() | change)
