# SPDX-License-Identifier: Apache-2.0
"""diffusers' scheduler_config.json as a Process: every key is used, known to change nothing, or refused by name.

A scheduler class is a process and a solver in one. The process is kept exactly; where our solver is another one, a note
says so. Keys that a class does not have are not read by diffusers either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hqdit_mobile.diffusion.process import Flow, MultistepOptions, Process, ProcessError, VariancePreserving

FILE = "scheduler_config.json"
BETAS = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 0,
}
CLIPPING = {"clip_sample": True, "clip_sample_range": 1.0, "thresholding": False, "rescale_betas_zero_snr": False}
MULTISTEP = {
    "timestep_spacing": "linspace",
    "thresholding": False,
    "rescale_betas_zero_snr": False,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
    "use_dynamic_shifting": False,
    "final_sigmas_type": "zero",
    "lower_order_final": True,
}
SHIFTED = {"num_train_timesteps": 1000, "shift": 1.0}
# The keys of each class that matter here, with its own defaults.
CLASSES: dict[str, dict[str, Any]] = {
    "DDIMScheduler": BETAS | CLIPPING | {"set_alpha_to_one": True},
    "DDPMScheduler": BETAS | CLIPPING,
    "PNDMScheduler": BETAS | {"set_alpha_to_one": False},
    "DPMSolverMultistepScheduler": BETAS
    | MULTISTEP
    | {
        "algorithm_type": "dpmsolver++",
        "solver_order": 2,
        "solver_type": "midpoint",
        "euler_at_final": False,
        "use_lu_lambdas": False,
        "lambda_min_clipped": -float("inf"),
    },
    "UniPCMultistepScheduler": BETAS
    | MULTISTEP
    | {"sigma_min": None, "sigma_max": None, "shift_terminal": None, "predict_x0": True},
    "FlowMatchEulerDiscreteScheduler": SHIFTED
    | {
        "use_dynamic_shifting": False,
        "invert_sigmas": False,
        "shift_terminal": None,
        "use_karras_sigmas": False,
        "use_exponential_sigmas": False,
        "use_beta_sigmas": False,
        "stochastic_sampling": False,
    },
    "FlowMatchHeunDiscreteScheduler": SHIFTED,
}
# What may stand in a file besides: settings of what is off or of another solver, and where the file came from.
HARMLESS = {
    "_class_name",
    "_diffusers_version",
    "_name_or_path",
    "_use_default_values",
    "skip_prk_steps",
    "variance_type",
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "time_shift_type",
    "base_shift",
    "max_shift",
    "base_image_seq_len",
    "max_image_seq_len",
    "disable_corrector",
    "solver_p",
    "interpolation_type",
}
# Keys that must have the value given, and what to do about another.
ONLY: dict[str, tuple[tuple[Any, ...], str]] = {
    "thresholding": ((False,), "set it to false; dynamic thresholding is for models of pixels"),
    "use_karras_sigmas": ((False, None), "set it to false; the timestep_spacing says where the steps are"),
    "use_exponential_sigmas": ((False, None), "set it to false; the timestep_spacing says where the steps are"),
    "use_beta_sigmas": ((False, None), "set it to false; the timestep_spacing says where the steps are"),
    "use_lu_lambdas": ((False, None), "set it to false; the timestep_spacing says where the steps are"),
    "use_dynamic_shifting": ((False, None), "set it to false and shift to that of the model's own resolution"),
    "algorithm_type": (("dpmsolver++",), "set it to dpmsolver++"),
    "solver_order": ((1, 2), "set it to 2"),
    "solver_type": (("midpoint", "heun"), "set it to midpoint"),
    "lambda_min_clipped": ((-float("inf"), None), "remove it, or take the trailing or leading timestep_spacing"),
    "predict_x0": ((True,), "set it to true"),
    "invert_sigmas": ((False,), "set it to false; give the time's direction by the model's family"),
    "shift_terminal": ((None,), "set it to null"),
    "stochastic_sampling": ((False,), "set it to false"),
    "sigma_min": ((None,), "set it to null"),
    "sigma_max": ((None,), "set it to null"),
}
INSTEAD = {
    "DDPMScheduler": "fresh noise at every step",
    "PNDMScheduler": "a linear multistep solver",
    "UniPCMultistepScheduler": "a predictor and corrector",
}


def process_from_scheduler(
    config: Mapping[str, Any], guided_channels: int, class_name: str | None = None
) -> tuple[Process, list[str]]:
    """The process that a scheduler_config.json means, and notes on what will be drawn in another way.

    class_name: what model_index.json says, which diffusers puts before the file's own ``_class_name``. Raises
    ProcessError that names the class or key, with what to do.
    """
    name = class_name or config.get("_class_name")
    if name not in CLASSES:
        raise ProcessError(
            f"{FILE}: the scheduler {name!r} is not supported; use one of {', '.join(CLASSES)}, if the model was "
            "trained for it: DDIMScheduler.from_config(pipeline.scheduler.config).save_pretrained(FOLDER) writes a file"
        )
    every = {key for keys in CLASSES.values() for key in keys}
    for key in config:
        if key not in every | HARMLESS:
            raise ProcessError(f"{FILE}: the key {key!r} is not known; remove it if the model was trained without it")
    values = {key: config.get(key, default) for key, default in CLASSES[name].items()}
    for key, (allowed, repair) in ONLY.items():
        if key in values and not any(values[key] is a or values[key] == a for a in allowed):
            raise ProcessError(f"{FILE}: {key} = {values[key]!r} is not supported: {repair}")
    try:
        process = _flow(name, values, guided_channels) or _discrete(values, guided_channels)
    except ProcessError as error:
        raise ProcessError(f"{FILE}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ProcessError(f"{FILE}: a value has the wrong type ({error})") from error
    return process, _notes(name, config, process)


def _flow(name: str, values: Mapping[str, Any], guided_channels: int) -> Process | None:
    if name.startswith("FlowMatch"):
        shift, spacing, sampler = values["shift"], "linspace", "heun" if "Heun" in name else "euler"
    elif values.get("use_flow_sigmas"):
        shift, spacing, sampler = values["flow_shift"], "leading", "dpm-solver++"
        if values["prediction_type"] != "flow_prediction":
            raise ProcessError("use_flow_sigmas needs the prediction_type flow_prediction")
        if values["final_sigmas_type"] != "zero":
            raise ProcessError("use_flow_sigmas needs the final_sigmas_type zero")
    else:
        return None
    total = values["num_train_timesteps"]
    path = Flow(time_at_noise=float(total), time_at_data=0.0, shift=float(shift), num_train_timesteps=total)
    return Process(path, "velocity", guided_channels, None, spacing, sampler, _multistep(values))


def _discrete(values: Mapping[str, Any], guided_channels: int) -> Process:
    if values["prediction_type"] not in ("epsilon", "v_prediction", "sample"):
        raise ProcessError(
            f"prediction_type {values['prediction_type']!r} is not one of epsilon, v_prediction, sample; a flow needs "
            "FlowMatchEulerDiscreteScheduler or use_flow_sigmas"
        )
    settings = {"steps_offset": values["steps_offset"], "set_alpha_to_one": values.get("set_alpha_to_one", True)}
    if values["trained_betas"] is not None:
        path = VariancePreserving.of_betas(values["trained_betas"], **settings)
        if path.num_train_timesteps != values["num_train_timesteps"]:
            raise ProcessError(
                f"trained_betas has {path.num_train_timesteps} numbers, num_train_timesteps is "
                f"{values['num_train_timesteps']}"
            )
    elif values["beta_schedule"] == "squaredcos_cap_v2":
        path = VariancePreserving.cosine(values["num_train_timesteps"], **settings)
    elif values["beta_schedule"] in ("linear", "scaled_linear"):
        betas = [values[key] for key in ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")]
        path = VariancePreserving(*betas, **settings)
    else:
        raise ProcessError(
            f"beta_schedule {values['beta_schedule']!r} is not one of linear, scaled_linear, squaredcos_cap_v2: write "
            "its numbers as trained_betas"
        )
    if values.get("rescale_betas_zero_snr"):
        path = path.with_zero_terminal_snr()
    clip = float(values["clip_sample_range"]) if values.get("clip_sample") else None
    spacing = values["timestep_spacing"]
    return Process(path, values["prediction_type"], guided_channels, clip, spacing, multistep=_multistep(values))


def _multistep(values: Mapping[str, Any]) -> MultistepOptions:
    names = MultistepOptions.__dataclass_fields__
    return MultistepOptions(**{key: value for key, value in values.items() if key in names})


def _notes(name: str, config: Mapping[str, Any], process: Process) -> list[str]:
    notes = []
    if name in INSTEAD:
        notes.append(f"{FILE} names {name} ({INSTEAD[name]}); will draw with {process.sampler} or ddim instead")
    if process.clip_sample_range and "clip_sample" not in config:
        notes.append(
            f"{FILE} has no clip_sample, so diffusers' default for {name} holds: what the network predicts is clipped "
            f"to +-{process.clip_sample_range:g}; set clip_sample to false if the model was trained for latents"
        )
    return notes
