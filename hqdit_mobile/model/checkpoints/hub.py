# SPDX-License-Identifier: Apache-2.0
"""Files of the Hugging Face hub: from its cache, or downloaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hqdit_mobile.model.checkpoints.reading import one_line

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


def is_hub_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def hub_folder(repo_id: str, patterns: Sequence[str]) -> Path:
    """A folder with the files of ``repo_id`` that match. Raises FileNotFoundError saying why there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo_id, allow_patterns=list(patterns)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"could not get {repo_id!r} from the Hugging Face hub ({one_line(error)}); download it first and give its "
            "folder"
        ) from error
