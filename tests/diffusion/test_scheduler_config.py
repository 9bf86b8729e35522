# SPDX-License-Identifier: Apache-2.0
"""diffusers' scheduler_config.json: the class is read, its own defaults hold, and no key is ignored in silence."""

import json

import pytest
from diffusers import schedulers

from hqdit_mobile.diffusion.process import Flow, Process, ProcessError, VariancePreserving
from hqdit_mobile.diffusion.scheduler_config import CLASSES, process_from_scheduler

DDIM = {"_class_name": "DDIMScheduler", "clip_sample": False}
DPM = {"_class_name": "DPMSolverMultistepScheduler"}
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"}


def read(config, class_name=None):
    return process_from_scheduler(config, 4, class_name)


@pytest.mark.parametrize("name", CLASSES)
def test_the_defaults_are_the_class_s_own(name):
    """A file without a key means what the class does without it."""
    written = json.loads(getattr(schedulers, name)().to_json_string())
    assert {key: written[key] for key in CLASSES[name]} == CLASSES[name]
    assert read({"_class_name": name})[0] == read(written)[0]


def test_what_is_published_for_dit():
    """facebook/DiT-XL-2-256's file."""
    published = DDIM | {
        "_diffusers_version": "0.12.0.dev0", "beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001,
        "num_train_timesteps": 1000, "prediction_type": "epsilon", "set_alpha_to_one": True, "steps_offset": 0,
        "trained_betas": None,
    }  # fmt: skip
    assert read(published) == (Process(), [])


def test_defaults_that_are_easily_missed():
    clipped, notes = read({"_class_name": "DDIMScheduler"})
    assert clipped.clip_sample_range == 1 and "has no clip_sample" in notes[0]
    assert read({"_class_name": "DDIMScheduler", "clip_sample": True})[1] == []
    assert read(DDIM)[0].spacing == "leading" and read(DPM)[0].spacing == "linspace"
    assert read({"_class_name": "PNDMScheduler"})[0].path.set_alpha_to_one is False


@pytest.mark.parametrize("name", ["DDPMScheduler", "PNDMScheduler", "UniPCMultistepScheduler"])
def test_another_solver_is_said(name):
    _, notes = read({"_class_name": name, "clip_sample": False})
    assert len(notes) == 1 and f"names {name}" in notes[0] and "will draw with dpm-solver++ or ddim instead" in notes[0]


def test_model_index_says_which_class_it_is():
    """diffusers builds the class of model_index.json, whatever the file says."""
    assert read(DDIM, "DPMSolverMultistepScheduler")[0].spacing == "linspace"
    with pytest.raises(ProcessError, match="LCMScheduler"):
        read(DDIM, "LCMScheduler")


def test_what_is_supported():
    betas = [0.1, 0.2, 0.3]
    trained, _ = read(DDIM | {"trained_betas": betas, "num_train_timesteps": 3})
    assert trained.path == VariancePreserving.of_betas(betas)
    cosine, _ = read(DDIM | {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"})
    assert cosine == Process(VariancePreserving.cosine(), "v_prediction")
    zero, _ = read(DDIM | {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "sample"})
    assert zero == Process(VariancePreserving().with_zero_terminal_snr(), "sample", spacing="trailing")
    flow, notes = read(FLOW | {"shift": 3.0})
    path = Flow(time_at_noise=1000.0, time_at_data=0.0, shift=3.0)
    assert (flow, notes) == (Process(path, "velocity", spacing="linspace", sampler="euler"), [])
    options, _ = read(DPM | {"solver_order": 1, "euler_at_final": True, "final_sigmas_type": "sigma_min"})
    assert options.multistep.solver_order == 1 and options.multistep.euler_at_final
    assert options.multistep.final_sigmas_type == "sigma_min"


def test_keys_of_other_classes_and_of_what_is_off_are_harmless():
    """Those that from_config leaves in a file, which diffusers does not read either."""
    extra = {"skip_prk_steps": True, "solver_order": 3, "use_karras_sigmas": True, "dynamic_thresholding_ratio": 0.9}
    assert read(DDIM | extra) == read(DDIM)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "the scheduler None is not supported; use one of DDIMScheduler"),
        ({"_class_name": "LCMScheduler"}, "'LCMScheduler' is not supported"),
        ({"_class_name": "EDMEulerScheduler"}, "'EDMEulerScheduler' is not supported"),
        ({"_class_name": "CMStochasticIterativeScheduler"}, "is not supported"),
        (DDIM | {"betta_start": 0.1}, "the key 'betta_start' is not known"),
        (DDIM | {"thresholding": True}, "thresholding = True is not supported: set it to false"),
        (DDIM | {"prediction_type": "flow_prediction"}, "prediction_type 'flow_prediction' is not one of epsilon"),
        (DDIM | {"beta_schedule": "sigmoid"}, "beta_schedule 'sigmoid' is not one of .*trained_betas"),
        (DDIM | {"timestep_spacing": "even"}, "spacing 'even' is not one of leading"),
        (DDIM | {"trained_betas": [0.1, 0.2]}, "trained_betas has 2 numbers, num_train_timesteps is 1000"),
        (DDIM | {"trained_betas": "many"}, "a value has the wrong type"),
        (DDIM | {"trained_betas": [0.1, 1.5], "num_train_timesteps": 2}, "alphas_cumprod must fall"),
        (DDIM | {"beta_start": "0.1"}, "a value has the wrong type"),
        (DDIM | {"num_train_timesteps": 10.5}, "num_train_timesteps must be a whole number"),
        (DPM | {"use_karras_sigmas": True}, "use_karras_sigmas = True is not supported"),
        (DPM | {"use_exponential_sigmas": True}, "use_exponential_sigmas"),
        (DPM | {"use_beta_sigmas": True}, "use_beta_sigmas"),
        (DPM | {"use_lu_lambdas": True}, "use_lu_lambdas"),
        (DPM | {"use_dynamic_shifting": True}, "use_dynamic_shifting"),
        (DPM | {"algorithm_type": "sde-dpmsolver++"}, "algorithm_type = 'sde-dpmsolver\\+\\+' is not supported"),
        (DPM | {"algorithm_type": "dpmsolver"}, "set it to dpmsolver\\+\\+"),
        (DPM | {"solver_order": 3}, "solver_order = 3 is not supported: set it to 2"),
        (DPM | {"lambda_min_clipped": -5.1}, "lambda_min_clipped = -5.1 is not supported"),
        (DPM | {"thresholding": True}, "thresholding"),
        (DPM | {"use_flow_sigmas": True}, "use_flow_sigmas needs the prediction_type flow_prediction"),
        (FLOW | {"use_dynamic_shifting": True}, "use_dynamic_shifting"),
        (FLOW | {"invert_sigmas": True}, "invert_sigmas"),
        (FLOW | {"shift_terminal": 0.1}, "shift_terminal"),
        (FLOW | {"stochastic_sampling": True}, "stochastic_sampling"),
        (FLOW | {"shift": -1.0}, "shift must be in"),
        (FLOW | {"shift": None}, "a value has the wrong type"),
    ],
    ids=str,
)
def test_what_is_not_supported_is_refused_by_name(config, message):
    with pytest.raises(ProcessError, match=r"scheduler_config\.json: .*" + message):
        read(config)


def test_every_key_of_every_class_has_an_answer():
    """No key that diffusers writes itself is unknown."""
    for name in CLASSES:
        written = json.loads(getattr(schedulers, name)().to_json_string())
        read({"_class_name": name} | written)
