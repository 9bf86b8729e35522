# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_files() -> dict[str, bytes]:
    """The model files of tests/tiny_model.py: exporting them takes seconds, so once."""
    from tiny_model import make_files

    return make_files()


@pytest.fixture(scope="session")
def tiny_bundle(tiny_files, tmp_path_factory) -> Path:
    """A whole bundle, to be left unchanged."""
    from tiny_model import write_bundle

    return write_bundle(tmp_path_factory.mktemp("tiny") / "bundle", tiny_files)
