# SPDX-License-Identifier: Apache-2.0
"""The engine against loops of torch and diffusers around the same tiny networks."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tiny_model
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from hqdit_mobile.diffusion import rng
from hqdit_mobile.runtime.engine import BusyError, CancelledError, Pipeline, estimate


@pytest.fixture(scope="module")
def pipeline(tiny_bundle):
    with Pipeline(tiny_bundle) as opened:
        yield opened


def to_rgb(image: np.ndarray) -> np.ndarray:
    """[3, H, W] -> [H, W, 3], as the bundle's contract says; numpy rounds halves to even."""
    return np.round(np.clip(image / 2 + 0.5, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def draw(label, seed, *, steps, scale, scheduler="ddim", spacing="leading", interval=(0, 1), channels=4, eta=0.0):
    """(final latents, float image, timesteps guided) by diffusers' scheduler and the torch networks."""
    denoiser, _, decoder = tiny_model.networks()
    if scheduler == "ddim":
        solver = DDIMScheduler(clip_sample=False, timestep_spacing=spacing)
    else:
        solver = DPMSolverMultistepScheduler(algorithm_type="dpmsolver++", timestep_spacing=spacing)
    solver.set_timesteps(steps)
    shape = (1, *tiny_model.LATENT)
    count = int(np.prod(shape))
    latents = torch.from_numpy(rng.normal(seed, 0, count)).reshape(shape)
    guided_steps = []
    with torch.no_grad():
        for index, t in enumerate(solver.timesteps.tolist()):
            time = torch.tensor([float(t)])
            noise = denoiser(latents, time, torch.tensor([label]))
            if scale != 1 and interval[0] <= t / 1000 <= interval[1]:
                null = denoiser(latents, time, torch.tensor([tiny_model.CLASSES]))
                noise[:, :channels] = (null + scale * (noise - null))[:, :channels]
                guided_steps.append(t)
            extra = {}
            if eta:
                fresh = torch.from_numpy(rng.normal(seed, index + 1, count)).reshape(shape)
                extra = {"eta": eta, "variance_noise": fresh}
            latents = solver.step(noise, t, latents, return_dict=False, **extra)[0]
        image = decoder(latents / tiny_model.SCALE)
    return latents[0].numpy(), image[0].numpy(), guided_steps


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("scheduler", ["ddim", "dpm-solver++"])
@pytest.mark.parametrize("steps", [4, 13])
def test_picture_equals_torch_and_diffusers(pipeline, scheduler, spacing, steps):
    latents, image, _ = draw(2, 7, steps=steps, scale=2.5, scheduler=scheduler, spacing=spacing)
    settings = {"steps": steps, "guidance_scale": 2.5, "scheduler": scheduler, "spacing": spacing}
    result = pipeline.generate_batch(2, [7], **settings)
    np.testing.assert_allclose(result.latents[0], latents, atol=1e-4)
    np.testing.assert_allclose(pipeline.decode(result.latents[0]), image, atol=1e-4)
    assert np.abs(result.images[0].astype(int) - to_rgb(image)).max() <= 1
    assert result.evaluations == 2 * steps


def test_ddim_with_fresh_noise(pipeline):
    latents, _, _ = draw(1, 3, steps=10, scale=2.0, eta=0.7)
    result = pipeline.generate_batch(1, [3], steps=10, guidance_scale=2.0, eta=0.7)
    np.testing.assert_allclose(result.latents[0], latents, atol=1e-4)


def test_defaults_come_from_the_manifest(pipeline):
    latents, _, _ = draw(0, 5, steps=10, scale=3.0)
    np.testing.assert_allclose(pipeline.generate_batch(0, [5]).latents[0], latents, atol=1e-4)
    assert pipeline.defaults["scheduler"] == "ddim" and pipeline.defaults["steps"] == 10
    assert pipeline.defaults["guidance_interval"] == (0.0, 1.0) and pipeline.defaults["spacing"] == "leading"


def test_rgb_rounds_the_decoded_image(pipeline):
    result = pipeline.generate_batch(4, [1])
    assert np.array_equal(result.images[0], to_rgb(pipeline.decode(result.latents[0])))
    assert 0 in result.images and 255 in result.images  # the decoder's range is 1.5: clamping is tested, too


def test_guidance_interval_runs_the_cheap_method(pipeline):
    interval = (0.25, 0.7)
    latents, _, guided = draw(3, 11, steps=10, scale=4.0, interval=interval)
    seen = []

    def progress(update):
        if update.phase == "step" and update.guided:
            seen.append(update.timestep)

    result = pipeline.generate_batch(
        3, [11], steps=10, guidance_scale=4.0, guidance_interval=interval, progress=progress
    )
    assert seen == guided and 0 < len(guided) < 10
    assert result.evaluations == 10 + len(guided)
    np.testing.assert_allclose(result.latents[0], latents, atol=1e-4)


def test_scale_one_needs_no_guidance(pipeline):
    latents, _, _ = draw(3, 11, steps=6, scale=1.0)
    result = pipeline.generate_batch(3, [11], steps=6, guidance_scale=1.0)
    assert result.evaluations == 6
    np.testing.assert_allclose(result.latents[0], latents, atol=1e-4)


def test_guidance_on_some_channels_only(tiny_files, tmp_path):
    manifest = tiny_model.make_manifest(tiny_files)
    manifest["guidance"]["channels"] = 3
    latents, _, _ = draw(2, 9, steps=8, scale=3.0, channels=3)
    with Pipeline(tiny_model.write_bundle(tmp_path, tiny_files, manifest)) as opened:
        np.testing.assert_allclose(opened.generate_batch(2, [9], steps=8).latents[0], latents, atol=1e-4)


def test_networks_on_their_own(pipeline):
    denoiser, guided, decoder = tiny_model.networks()
    latents = np.random.default_rng(0).standard_normal(tiny_model.LATENT).astype(np.float32)
    x, t, label = torch.from_numpy(latents)[None], torch.tensor([321.0]), torch.tensor([3])
    with torch.no_grad():
        np.testing.assert_allclose(pipeline.denoise(latents, 321.0, 3, guided=True), guided(x, t, label), atol=1e-5)
        np.testing.assert_allclose(pipeline.denoise(latents, 321.0, 3, guided=False), denoiser(x, t, label), atol=1e-5)
        np.testing.assert_allclose(pipeline.decode(latents), decoder(x / tiny_model.SCALE)[0], atol=1e-5)


def test_same_seed_same_picture(pipeline, tiny_bundle):
    first = pipeline.generate("class 1 \N{SLIGHTLY SMILING FACE}", seed=7)
    assert first.shape == (16, 16, 3) and first.dtype == np.uint8
    assert np.array_equal(first, pipeline.generate(1, seed=7))
    assert not np.array_equal(first, pipeline.generate(1, seed=8))
    assert not np.array_equal(first, pipeline.generate(2, seed=7))
    for settings in ({"load_mode": "read"}, {"threads": 1}, {"threads": 2}, {"verify_sha256": False}):
        with Pipeline(tiny_bundle, **settings) as other:
            assert np.array_equal(first, other.generate(1, seed=7)), settings


def test_batch_equals_single_pictures(pipeline):
    seeds = [3, 2**64 - 1, 0]
    updates = []
    batch = pipeline.generate_batch(0, seeds, steps=5, progress=updates.append)
    for image, seed in zip(batch.images, seeds, strict=True):
        assert np.array_equal(image, pipeline.generate(0, seed=seed, steps=5))
    places = [(u.image_index, u.phase, u.step) for u in updates]
    steps = [("step", i) for i in range(1, 6)]
    assert places == [(image, *place) for image in range(3) for place in [*steps, ("decode", 5)]]
    assert all(u.image_count == 3 and u.step_count == 5 and u.peak_memory_bytes > 2**20 for u in updates)
    assert [u.elapsed_ms for u in updates] == sorted(u.elapsed_ms for u in updates)
    assert batch.total_ms >= batch.denoise_ms + batch.decode_ms > 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the reference is Linux's /proc")
def test_peak_memory_is_the_process_peak(pipeline):
    reported = pipeline.generate_batch(0, [1]).peak_memory_bytes
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    assert reported == pytest.approx(int(line.split()[1]) * 1024, rel=0.01)


def resident_share(file: Path) -> float:
    """Of what this process has mapped of the file, the part that counts as its memory."""
    size = resident = 0
    mine = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):  # the head of a mapping
            mine = words[-1] == str(file)
        elif mine and words[0] == "Size:":
            size += int(words[1])
        elif mine and words[0] == "Rss:":
            resident += int(words[1])
    return resident / size


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the reference is Linux's /proc")
def test_weights_that_xnnpack_has_packed_are_not_kept_twice(emoji_bundle):
    with Pipeline(emoji_bundle) as opened:
        latents = np.zeros(opened.latent_shape, np.float32)
        opened.denoise(latents, 500, 0, guided=True)
        opened.decode(latents)
        assert resident_share(emoji_bundle.resolve() / "transformer.pte") > 0.8, "our operators read codes in place"
        assert resident_share(emoji_bundle.resolve() / "vae_decoder.pte") < 0.2


def test_initial_noise_of_the_caller(pipeline):
    own = np.stack([rng.normal(seed, 0, 256).reshape(tiny_model.LATENT) for seed in (7, 8)])
    batch = pipeline.generate_batch(2, [0, 0], initial_noise=own)
    for image, seed in zip(batch.images, (7, 8), strict=True):
        assert np.array_equal(image, pipeline.generate(2, seed=seed))


def test_null_label_draws_without_a_class(pipeline):
    latents, _, _ = draw(pipeline.null_label, 4, steps=5, scale=1.0)
    result = pipeline.generate_batch(pipeline.null_label, [4], steps=5, guidance_scale=1.0)
    np.testing.assert_allclose(result.latents[0], latents, atol=1e-4)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm-solver++"])
def test_previews(pipeline, tiny_files, scheduler):
    updates = []
    result = pipeline.generate_batch(2, [7], steps=7, scheduler=scheduler, preview_interval=3, progress=updates.append)
    shown = [u.step for u in updates if u.preview is not None]
    assert shown == [3, 6, 7]
    projection = tiny_model.make_manifest(tiny_files)["preview"]
    matrix, bias = np.array(projection["matrix"]), np.array(projection["bias"])
    # The last step predicts the final latents themselves.
    expected = np.einsum("rc,chw->rhw", matrix, result.latents[0].astype(np.float64)) + bias[:, None, None]
    last = [u.preview for u in updates if u.preview is not None][-1]
    assert np.abs(last.astype(int) - to_rgb(expected)).max() <= 1
    assert np.unique(last).size > 10


def test_cancel_within_one_step(pipeline):
    steps = []

    def stop_at_three(update):
        steps.append(update.step)
        return update.step < 3

    with pytest.raises(CancelledError):
        pipeline.generate(0, steps=50, progress=stop_at_three)
    assert steps == [1, 2, 3]
    pipeline.generate(0, steps=2)  # and it can go on


def test_exception_in_the_callback_comes_back(pipeline):
    def fail(update):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        pipeline.generate(0, progress=fail)
    pipeline.generate(0, steps=2)


def test_busy(pipeline, tiny_bundle):
    answers = []

    def again(update):
        for call in (lambda: pipeline.generate(0), pipeline.close):
            try:
                call()
            except BusyError as error:
                answers.append(str(error))
        return update.step < 2

    with pytest.raises(CancelledError):
        pipeline.generate(0, progress=again)
    assert len(answers) == 4 and all("HQDIT_BUSY" in answer for answer in answers)

    inside, go_on = threading.Event(), threading.Event()

    def wait(update):
        inside.set()
        return go_on.wait(30)

    worker = threading.Thread(target=pipeline.generate, args=(0,), kwargs={"progress": wait, "steps": 2})
    worker.start()
    assert inside.wait(30)
    with pytest.raises(BusyError):
        pipeline.generate(0)
    with Pipeline(tiny_bundle) as other:  # another pipeline is free
        other.generate(0)
    go_on.set()
    worker.join(30)
    assert not worker.is_alive()


def test_pipelines_in_threads(tiny_bundle):
    with Pipeline(tiny_bundle) as one:
        expected = [one.generate(label, seed=label) for label in range(4)]
    results: dict[int, list] = {}

    def work(label):
        with Pipeline(tiny_bundle, threads=label % 2) as own:
            results[label] = [own.generate(label, seed=label) for _ in range(5)]

    workers = [threading.Thread(target=work, args=(label,)) for label in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    for label in range(4):
        assert all(np.array_equal(image, expected[label]) for image in results[label])


def test_errors_are_per_thread(pipeline):
    messages = {}

    def work(label):
        with pytest.raises(ValueError) as error:
            pipeline.denoise(np.zeros(tiny_model.LATENT), 0, label, guided=False)
        messages[label] = str(error.value)

    for label in (77, 88):
        thread = threading.Thread(target=work, args=(label,))
        thread.start()
        thread.join()
    assert all(f"not {label}" in message for label, message in messages.items()) and len(messages) == 2


def test_estimate_and_info(tiny_bundle, tiny_files, pipeline):
    memory = estimate(tiny_bundle)
    assert (memory.weights_bytes, memory.arena_bytes, memory.peak_bytes) == (10_000, 200_000, 1_000_000)
    assert memory.file_bytes == sum(len(data) for data in tiny_files.values())
    assert (pipeline.name, pipeline.target) == ("tiny", "desktop")
    assert pipeline.image_shape == (16, 16, 3) and pipeline.latent_shape == (4, 8, 8)
    assert pipeline.labels == tiny_model.make_manifest(tiny_files)["labels"]
    assert pipeline.find_label(pipeline.labels[3]) == 3


def test_import_needs_no_torch(tiny_bundle):
    code = (
        "import sys, hqdit_mobile.runtime.engine as e; e.Pipeline(sys.argv[1]).generate(0, steps=1); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-I", "-c", code, str(tiny_bundle)], check=True)
