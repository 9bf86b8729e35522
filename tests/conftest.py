# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

# The environment's own cmake and ninja before the system's, which may be too old; pytest runs without activating it.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


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


@pytest.fixture(scope="session")
def emoji_bundle(tmp_path_factory) -> Path:
    """The reference model exported by the command, with a small calibration set; to be left unchanged."""
    bundle = tmp_path_factory.mktemp("emoji") / "emoji-android"
    command = [Path(sys.executable).parent / "hqdit-export", "--num-calibration-samples", "4", "-o", bundle]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return bundle


@pytest.fixture(scope="session")
def arm_drivers(tmp_path_factory) -> Path:
    """The folder with the programs of tests/native for ARM: building them takes half a minute, so once."""
    from native_build import build_for_arm

    return build_for_arm(tmp_path_factory.mktemp("arm"))


@pytest.fixture(scope="session")
def sanitized_drivers(tmp_path_factory) -> Path:
    """The same for this processor, under AddressSanitizer and UndefinedBehaviorSanitizer."""
    from native_build import build_with_sanitizers

    return build_with_sanitizers(tmp_path_factory.mktemp("sanitized"))
