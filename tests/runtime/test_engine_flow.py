# SPDX-License-Identifier: Apache-2.0
"""The engine draws with flows: bundles of schema 2 against loops in float64 around the same tiny network."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny_model
import torch

from hqdit_mobile.diffusion import rng
from hqdit_mobile.diffusion.process import Flow, Process, VariancePreserving
from hqdit_mobile.runtime.engine import InvalidArgumentError, InvalidBundleError, Pipeline
from hqdit_mobile.runtime.onnx_sampler import OnnxSampler

SIT = Process(Flow(time_at_noise=0.0, time_at_data=1.0), "velocity", 3, spacing="trailing", sampler="euler")
REPA = Process(Flow(), "velocity", 4, spacing="trailing", sampler="heun")
LABEL, SEED, SCALE = 2, 7, 2.5


def bundle(folder, files, process, change=lambda manifest: None):
    manifest = tiny_model.make_manifest(files, process)
    change(manifest)
    return tiny_model.write_bundle(folder, files, manifest)


def draw(process: Process, steps: int, heun: bool, interval=(0.0, 1.0)) -> tuple[np.ndarray, int]:
    """(latents, evaluations) by Euler's or Heun's method over the network's own time, the last step Euler's."""
    network, _, _ = tiny_model.networks()
    path, evaluations = process.path, 0

    def slope(x: torch.Tensor, t: float) -> torch.Tensor:
        nonlocal evaluations
        arguments = x.float(), torch.tensor([t]).float()
        velocity = network(*arguments, torch.tensor([LABEL]))
        level = t if path.time_at_noise == 1 else 1 - t
        evaluations += 1
        if interval[0] <= level <= interval[1]:
            evaluations += 1
            null = network(*arguments, torch.tensor([tiny_model.CLASSES]))
            channels = process.guided_channels
            velocity[:, :channels] = (null + SCALE * (velocity - null))[:, :channels]
        return velocity.double()

    shape = (1, *tiny_model.LATENT)
    x = torch.from_numpy(rng.normal(SEED, 0, int(np.prod(shape)))).reshape(shape).double()
    times = np.linspace(path.time_at_noise, path.time_at_data, steps + 1)
    with torch.no_grad():
        for index in range(steps):
            t, following = float(times[index]), float(times[index + 1])
            first = slope(x, t)
            end = x + (following - t) * first
            if heun and index < steps - 1:
                end = x + (following - t) * (first + slope(end, following)) / 2
            x = end
    return x[0].numpy(), evaluations


@pytest.mark.parametrize("interval", [(0.0, 1.0), (0.15, 0.65)])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
@pytest.mark.parametrize("process", [SIT, REPA], ids=["sit", "repa"])
def test_latents_are_those_of_the_equations(tiny_files, tmp_path, process, sampler, interval):
    expected, evaluations = draw(process, 9, sampler == "heun", interval)
    with Pipeline(bundle(tmp_path / "flow", tiny_files, process)) as pipeline:
        assert pipeline.schedulers == ("ddim", "dpm-solver++", "euler", "heun")
        assert pipeline.defaults["scheduler"] == process.sampler and pipeline.defaults["spacing"] == "trailing"
        settings = {"steps": 9, "guidance_scale": SCALE, "guidance_interval": interval}
        result = pipeline.generate_batch(LABEL, [SEED], scheduler=sampler, **settings)
    np.testing.assert_allclose(result.latents[0], expected, atol=1e-5)
    assert result.evaluations == evaluations


def test_progress_tells_times_and_noise_levels(tiny_files, tmp_path):
    updates = []
    with Pipeline(bundle(tmp_path / "flow", tiny_files, SIT)) as pipeline:
        pipeline.generate(LABEL, steps=4, scheduler="heun", progress=updates.append)
    steps = [update for update in updates if update.phase == "step"]
    assert [update.time for update in steps] == [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert [update.noise_level for update in steps] == [1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25]
    assert [update.timestep for update in steps] == [1000, 750, 750, 500, 500, 250, 250]
    assert [(update.step, update.step_count) for update in steps] == [(i, 7) for i in range(1, 8)]


def test_a_table_of_noise_levels_is_its_betas(tiny_files, tmp_path):
    """Schema 2 with the linear schedule written as a table draws what schema 1 does."""
    table = VariancePreserving(beta_schedule="tabulated", alphas_cumprod=tuple(VariancePreserving().levels.tolist()))
    pictures = []
    for name, process in (("old", None), ("table", Process(table, sampler="ddim"))):
        with Pipeline(bundle(tmp_path / name, tiny_files, process)) as pipeline:
            assert pipeline.schedulers == ("ddim", "dpm-solver++")
            pictures += [pipeline.generate_batch(LABEL, [SEED], scheduler=kind).latents for kind in pipeline.schedulers]
    np.testing.assert_array_equal(pictures[:2], pictures[2:])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eta": 0.5, "scheduler": "ddim"}, "eta belongs to DDIM on a process with betas"),
        ({"steps": 1001}, "steps must be in 1 .. 1000"),
    ],
)
def test_requests_that_a_flow_cannot_have(tiny_files, tmp_path, settings, message):
    with (
        Pipeline(bundle(tmp_path / "flow", tiny_files, SIT)) as pipeline,
        pytest.raises(InvalidArgumentError, match=message),
    ):
        pipeline.generate(LABEL, **settings)


CHANGES = [
    (("path", "kind"), "edm", "process.path.kind: .*variance_preserving"),
    (("path", "interpolation"), "cubic", "process.path.interpolation: .*gvp"),
    (("path", "time_at_noise"), 1.0, "process: time_at_noise and time_at_data must differ"),
    (("path", "shift"), 0, "process.path.shift: must be in"),
    (("path", "end"), 1, "process: start and end must satisfy"),
    (("prediction",), "epsilon", "process: epsilon and score say nothing at level 1"),
    (("prediction",), "v_prediction", "process: v_prediction belongs to a process with betas"),
    (("guided_channels",), 5, "process.guided_channels: must be in 1 .. 4"),
    (("clip_sample_range",), 1.0, "process: clip_sample_range belongs to a process with betas"),
    (("multistep", "solver_order"), 3, "process.multistep.solver_order: must be in 1 .. 2"),
    (("multistep", "euler_at_final"), 0, "process.multistep.euler_at_final: must be true or false"),
    (("spacing",), "even", "process.spacing: "),
]


@pytest.mark.parametrize(("where", "value", "message"), CHANGES)
def test_a_process_that_cannot_be(tiny_files, tmp_path, where, value, message):
    def change(manifest):
        *parents, last = where
        section = manifest["process"]
        for name in parents:
            section = section[name]
        section[last] = value

    with pytest.raises(InvalidBundleError, match=message):
        Pipeline(bundle(tmp_path / "bad", tiny_files, SIT, change))


@pytest.mark.parametrize("table", [[0.9, 0.5], [0.9, 0.95, 0.5], [1.0, 0.9, 0.5], [0.9, 0.5, -0.1], "levels", None])
def test_a_table_that_cannot_be(tiny_files, tmp_path, table):
    process = Process(VariancePreserving.of_betas([0.1, 0.2, 0.3]), sampler="ddim")

    def change(manifest):
        manifest["process"]["path"]["alphas_cumprod"] = table
        manifest["defaults"]["steps"] = 2

    with pytest.raises(InvalidBundleError, match="alphas_cumprod"):
        Pipeline(bundle(tmp_path / "bad", tiny_files, process, change))


@pytest.mark.parametrize("process", [SIT, REPA], ids=["sit", "repa"])
@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver++", "euler", "heun"])
def test_the_loop_of_onnx_bundles_has_the_engine_s_bits(tiny_files, tmp_path, process, sampler):
    """Around the engine's own networks: what remains is the loop."""
    settings = {"steps": 5, "scheduler": sampler, "guidance_scale": SCALE, "guidance_interval": (0.3, 1.0)}
    updates, expected_updates = [], []
    with Pipeline(bundle(tmp_path / "flow", tiny_files, process)) as pipeline:
        expected = pipeline.generate_batch(LABEL, [SEED], progress=expected_updates.append, **settings)
        networks = SimpleNamespace(
            latent_shape=pipeline.latent_shape, process=process, denoise=pipeline.denoise, decode=pipeline.decode
        )
        loop = OnnxSampler(networks, settings | {"spacing": "trailing"}, 0.0, LABEL, 1, 0, updates.append)
        start = rng.normal(SEED, 0, int(np.prod(pipeline.latent_shape))).reshape(pipeline.latent_shape)
        loop.draw(0, SEED, start)
    result = loop.result()
    np.testing.assert_array_equal(result.latents, expected.latents)
    np.testing.assert_array_equal(result.images, expected.images)
    assert result.evaluations == expected.evaluations
    told = [[(u.phase, u.time, u.noise_level, u.timestep, u.guided, u.step, u.step_count) for u in heard]
            for heard in (updates, expected_updates)]  # fmt: skip
    assert told[0] == told[1]
