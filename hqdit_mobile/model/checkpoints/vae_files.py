# SPDX-License-Identifier: Apache-2.0
"""Where a VAE can be: its own folder, a pipeline's, a file beside its configuration, or the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from hqdit_mobile.model.checkpoints.hub import hub_folder, is_hub_id
from hqdit_mobile.model.checkpoints.reading import read_component, read_json, read_weights
from hqdit_mobile.model.vae import VAEDecoder, vae_decoder

HUB_FILES = [f"{folder}{name}" for folder in ("", "vae/") for name in ("config.json", "diffusion_pytorch_model*")]
FORMS = "a folder with an AutoencoderKL or AutoencoderTiny, such as stabilityai/sd-vae-ft-mse, or none for pixels"


def read_vae(where: str) -> VAEDecoder:
    """Raises FileNotFoundError or CheckpointError naming the file at fault."""
    path = Path(where).expanduser()
    if path.is_file():
        return vae_decoder(read_json(path.parent / "config.json"), read_weights(path))
    if not path.is_dir():
        if not is_hub_id(where):
            raise FileNotFoundError(f"no VAE at {where!r}: give {FORMS}")
        path = hub_folder(where, HUB_FILES)
    folder = next((folder for folder in (path, path / "vae") if (folder / "config.json").is_file()), None)
    if folder is None:
        raise FileNotFoundError(f"{path} has neither config.json nor vae/config.json: give {FORMS}")
    return vae_decoder(read_json(folder / "config.json"), read_component(folder))
