# SPDX-License-Identifier: Apache-2.0
"""Where an unfinished export keeps its finished blocks: a folder beside the output."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hqdit_mobile.model.loading import LoadedModel
from hqdit_mobile.quantize.config import HQDiTConfig
from hqdit_mobile.runtime.manifest_file import describe_file
from hqdit_mobile.util.resume_store import WorkFolder

STAGING = "staging"
TOOLS = ("hqdit-mobile", "torch", "numpy")


def work_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.work")


def open_work(output: Path, model: LoadedModel, config: HQDiTConfig) -> WorkFolder:
    """Raises WorkFolderError if what is there came from another model, configuration, seed or version."""
    identity: dict[str, Any] = {"model": model.source}
    identity |= {
        f"contents of {path.name}": describe_file(path.parent, path.name).sha256 for path in model.weight_files
    }
    identity["family"] = model.family.name
    identity |= {f"network.{name}": value for name, value in asdict(model.dit.config).items()}
    identity |= {f"config.{name}": value for name, value in asdict(config).items()}
    identity |= {f"process.{name}": value for name, value in model.process.to_json().items()}
    identity |= {f"version of {tool}": version(tool) for tool in TOOLS}
    return WorkFolder(work_path(output), identity)


def remember_staging(work: WorkFolder, folder: Path) -> None:
    """Notes the half-written bundle `folder`, which a killed process cannot remove itself."""
    (work.path / STAGING).write_text(folder.name)


def remove_staging(work: WorkFolder, output: Path) -> None:
    """Removes what an earlier, killed process was writing for the same `output`."""
    note = work.path / STAGING
    name = note.read_text() if note.is_file() else ""
    if name.startswith(f".{output.name}.") and Path(name).name == name:
        shutil.rmtree(output.parent / name, ignore_errors=True)
