# SPDX-License-Identifier: Apache-2.0
"""HQDiTConfig: everything that decides the bits of a quantized model, apart from the model itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from hqdit_mobile.ops.hadamard_orders import split_order

PRECISIONS = ("w4a8", "w4a4")
WEIGHT_FORMATS = ("e2m1", "e1m2", "e3m0")
CHANNEL = "channel"
ROUNDINGS = ("gptq", "nearest")
FORMAT_RULES = ("error", "ratio")


@dataclass(frozen=True)
class HQDiTConfig:
    """Settings of `quantize_`. `recipe(NAME)` gives those that `--recipe` knows by name (docs/quality.md).

    Attributes:
        precision: "w4a8" (FP4 weights, INT8 activations) or "w4a4" (both FP4, HQ-DiT's own setting).
        group: inputs that share a weight table, and in w4a4 an activation format: a multiple of 16, or "channel": one
            table for each output channel and one activation format for each token.
        rotation: size of the block Hadamard; a layer whose inputs it does not divide gets the largest power of two
            that does; "full" rotates all inputs together (HQ-DiT); 1 turns it off.
        weight_formats: what each weight group may choose from: "e2m1", "e1m2", "e3m0".
        format_rule: how a group chooses: "error" tries each and keeps the smallest error; "ratio" (with group
            "channel") goes by the spread of the channel's weights alone (HQ-DiT).
        rounding: "gptq", or "nearest" for the nearest lattice point.
        sweeps: how often every group is rounded again after GPTQ, each time knowing all other groups
            (coordinate_descent.py); 0 with group "channel".
        smoothing: balances input channels with the weight columns they meet.
        centering: moves the mean of the inputs into biases.
        shrinkage: s in W <- W + s (W_ls - W), before rounding, where W_ls is the least-squares map from the quantized
            inputs to the float outputs. W_ls is smaller than W along inputs that quantization makes noisy, so at s = 1
            every layer weakens the same fine detail, which adds up at small timesteps. 0 leaves the weights alone; 0.5
            was best on emoji-dit.
        activation_formats: of 4-bit activations: ("e2m1", "e1m2") or ("e2m1",).
        int8_share: in w4a4, the fraction of the multiply-adds that may take INT8 activations, spent on the layers that
            the noise prediction is most sensitive to; 0 is strict w4a4.
        damping: GPTQ's, as a fraction of the mean diagonal of the Hessian.
        calibration_samples: images of the guided DDIM runs whose activations are used.
        calibration_steps: denoising steps of each of these runs.
        guidance_scale: of these runs, at least 1.
        tuning_steps: of Adam, which learn scales and biases through the whole model (tuning.py); 0 for none.
        tuning_samples: the DDIM runs, of about calibration_steps, that it learns from.
        seed: draws the classes and the noise of all runs and the signs of the rotation.

    Raises:
        ValueError: a value makes no sense; the message names the field.
    """

    precision: str = "w4a8"
    group: int | str = 16
    rotation: int | str = 128
    weight_formats: tuple[str, ...] = ("e2m1", "e1m2")
    format_rule: str = "error"
    rounding: str = "gptq"
    sweeps: int = 2
    smoothing: bool = True
    centering: bool = True
    shrinkage: float = 0.5
    activation_formats: tuple[str, ...] = ("e2m1", "e1m2")
    int8_share: float = 0.1
    damping: float = 0.01
    calibration_samples: int = 8
    calibration_steps: int = 20
    guidance_scale: float = 2.5
    tuning_steps: int = 0
    tuning_samples: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        def require(good: bool, field: str, rule: str) -> None:
            if not good:
                raise ValueError(f"HQDiTConfig.{field} must be {rule}, not {getattr(self, field)!r}")

        # JSON has lists only.
        for field in ("weight_formats", "activation_formats"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        require(self.precision in PRECISIONS, "precision", f"one of {', '.join(PRECISIONS)}")
        whole = self.group == CHANNEL
        sixteens = _is_int(self.group) and int(self.group) > 0 and int(self.group) % 16 == 0
        require(whole or sixteens, "group", f'a multiple of 16 or "{CHANNEL}"')
        formats = self.weight_formats
        known = bool(formats) and set(formats) <= set(WEIGHT_FORMATS) and len(set(formats)) == len(formats)
        require(known, "weight_formats", f"different names out of {', '.join(WEIGHT_FORMATS)}")
        require(self.format_rule in FORMAT_RULES, "format_rule", f"one of {', '.join(FORMAT_RULES)}")
        require(whole or self.format_rule == "error", "format_rule", f'"error" unless group is "{CHANNEL}"')
        require(self.rounding in ROUNDINGS, "rounding", f"one of {', '.join(ROUNDINGS)}")
        require(_is_int(self.sweeps) and self.sweeps >= 0, "sweeps", "a non-negative integer")
        require(not (whole and self.sweeps), "sweeps", f'0 with group "{CHANNEL}"')
        pairs = (("e2m1", "e1m2"), ("e2m1",))
        require(self.activation_formats in pairs, "activation_formats", " or ".join(str(pair) for pair in pairs))
        require(0 <= self.shrinkage <= 1, "shrinkage", "between 0 and 1")
        require(0 <= self.int8_share <= 1, "int8_share", "between 0 and 1")
        require(0 < self.damping <= 1, "damping", "above 0 and at most 1")
        require(_is_int(self.tuning_steps) and self.tuning_steps >= 0, "tuning_steps", "a non-negative integer")
        for field in ("calibration_samples", "calibration_steps", "tuning_samples"):
            require(_is_int(getattr(self, field)) and getattr(self, field) > 0, field, "a positive integer")
        require(self.guidance_scale >= 1, "guidance_scale", "at least 1")
        require(_is_int(self.seed) and self.seed >= 0, "seed", "a non-negative integer")
        if self.rotation != "full":
            require(_is_int(self.rotation), "rotation", 'an integer or "full"')
            split_order(int(self.rotation))

    def group_size(self, in_features: int) -> int:
        """How many inputs share a look-up table.

        Args:
            in_features: K, the inputs of a layer.

        Returns:
            Inputs of a group.
        """
        return in_features if self.group == CHANNEL else int(self.group)

    @property
    def fp4_activation(self) -> str:
        """The activation argument of hqdit::fp4_linear for 4-bit activations."""
        return "fp4" if len(self.activation_formats) > 1 else "e2m1"

    def to_json(self) -> str:
        """Writes all settings.

        Returns:
            A JSON object.
        """
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> HQDiTConfig:
        """The inverse of to_json.

        Args:
            text: a JSON object; settings that it leaves out have their defaults.

        Returns:
            The settings.

        Raises:
            ValueError: the text is no such object; the message names what is unknown or wrong.
        """
        values: Any = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("a config is a JSON object")
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"HQDiTConfig has no field {', '.join(sorted(unknown))}")
        return cls(**values)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
