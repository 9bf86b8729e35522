# SPDX-License-Identifier: Apache-2.0
"""What training scripts wrap a state dict in: other parts of a run, and prefixes of wrapping modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from hqdit_mobile.model.checkpoints.plain_objects import plain
from hqdit_mobile.model.checkpoints.reading import CheckpointError, explained, named, one_line, tensors_of

HOLDERS = ("ema", "ema_state_dict", "model_ema", "ema_model", "model", "model_state_dict", "state_dict")
"""Where weights are, best first: those averaged over training draw better than its last ones."""
PREFIXES = ("module.", "_orig_mod.", "base_model.model.")
"""Of DataParallel and its like, torch.compile and peft."""
ARGUMENTS = ("args", "config", "cfg", "hyper_parameters")
REST_OF_A_RUN = (
    "opt", "optimizer", "optimizer_state_dict", "optimizer_states", "lr_scheduler", "lr_schedulers",
    "scheduler", "sched", "scaler", "grad_scaler", "step", "steps", "train_steps", "global_step", "iteration",
    "iter", "epoch", "epochs", "loss", "best_loss", "best_fid", "rng_state", "random_state",
    "pytorch-lightning_version", "callbacks", "loops", "date", "time", "version", "git_hash", "wandb_id",
)  # fmt: skip
"""What else such files hold; it does not change what is drawn."""


@dataclass(frozen=True)
class Unwrapped:
    """arguments: of the training run, by their last name; notes: what was chosen, to be told the user."""

    state: dict[str, Tensor]
    arguments: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def unwrap(loaded: Any, file: Path) -> Unwrapped:
    """The state dict in what ``file`` held. Raises CheckpointError naming what is not understood."""
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{file} holds a {type(loaded).__name__}, not a state dict or a dictionary with one")
    notes: list[str] = []
    arguments: dict[str, Any] = {}
    if not all(isinstance(value, Tensor) for value in loaded.values()):
        holders = [name for name in HOLDERS if isinstance(loaded.get(name), Mapping) and loaded[name]]
        if not holders:
            raise CheckpointError(f"{file} has no weights under {named(HOLDERS, len(HOLDERS))}; it has {named(loaded)}")
        empty = {name for name in HOLDERS if name in loaded and not loaded[name]}
        known = {*holders, *empty, *ARGUMENTS, *REST_OF_A_RUN}
        if unknown := [name for name in loaded if name not in known]:
            raise CheckpointError(
                f"{file}: {named(unknown)} beside the weights is not understood; save the weights alone"
            )
        others = f", not {named(holders[1:])}" if holders[1:] else ""
        notes.append(f"weights under {holders[0]!r}{others}")
        with explained(file):
            arguments = _flat({name: plain(loaded[name]) for name in ARGUMENTS if name in loaded})
        loaded = loaded[holders[0]]
    state = {key: value for key, value in loaded.items() if key != "n_averaged"}  # of torch's AveragedModel
    state = tensors_of(state, file)
    while prefix := next((p for p in PREFIXES if state and all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
        notes.append(f"names without {prefix!r}")
    return Unwrapped(state, arguments, notes)


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves by their own name; those of a name with several values are left out, because it says nothing then."""
    found: dict[str, list[Any]] = {}

    def visit(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                visit(inner, key)
        else:
            found.setdefault(one_line(name, 80), []).append(value)

    visit(dict(tree), "")
    return {name: values[0] for name, values in found.items() if all(value == values[0] for value in values)}
