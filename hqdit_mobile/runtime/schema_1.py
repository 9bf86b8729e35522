# SPDX-License-Identifier: Apache-2.0
"""Manifests of schema 1, whose bundles still open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hqdit_mobile.diffusion.process import Process, ProcessError


def from_schema_1(values: dict[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """The members of schema 2 that say the same, unchecked.

    Schema 1 had the fields of HQDiTConfig among those that say what came of them, ``results``; it knew betas and
    predictions of the noise only, in the terms of diffusers' scheduler_config.json. Raises ProcessError naming the
    field that it lacks.
    """
    values = dict(values)
    scheduler, guidance = (values.pop(key, None) for key in ("scheduler", "guidance"))
    if not isinstance(scheduler, dict) or not isinstance(guidance, dict):
        raise ProcessError("path: schema 1 has it as scheduler and guidance, which are missing")
    if scheduler.get("prediction_type") != "epsilon":
        raise ProcessError("prediction: schema 1 knows the prediction_type epsilon only")
    path = {key: value for key, value in scheduler.items() if key not in ("prediction_type", "timestep_spacing")}
    process = Process().to_json() | {"path": {"kind": "variance_preserving"} | path}
    values["process"] = process | {
        "spacing": scheduler.get("timestep_spacing"),
        "guided_channels": guidance.get("channels"),
    }
    if isinstance(about := values.get("quantization"), dict):
        config = {key: value for key, value in about.items() if key not in results}
        values["quantization"] = {key: about[key] for key in results if key in about} | {"config": config}
    return values
