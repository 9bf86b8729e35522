# SPDX-License-Identifier: Apache-2.0
"""What all tests share: how many run at once, markers by what a test needs, and files that are made once.

Several processes run the whole suite (parallel.py); what takes long to make is made by the first that asks for it.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

pytest_plugins = ["parallel", "commands"]

# A shell starts what it puts into the background with Ctrl-C ignored, which every process inherits; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The environment's own cmake and ninja before the system's, which may be too old; pytest runs without activating it.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

# What a test needs that asks for a fixture: CONTRIBUTING.md says what the markers are for.
MARKERS = {
    "emoji_bundle": ("export", "slow"),
    "arm_drivers": ("native", "arm", "slow"),
    "sme2_drivers": ("native", "arm", "slow"),
    "sanitized_drivers": ("native", "slow"),
    "amx_drivers": ("native", "slow"),
    "robust": ("native", "slow"),  # of runtime/test_engine_native.py
    "checked": ("android", "slow"),  # of android/test_android.py
    "fuzzers": ("native", "slow"),  # of fuzz/test_fuzz.py
    "subject": ("slow",),  # of bench/test_bench.py
    "masked": ("native",),
}


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in MARKERS.keys() & set(getattr(item, "fixturenames", ())):
            for name in MARKERS[fixture]:
                item.add_marker(name)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """made_once(name, make) -> the folder that make(folder) has filled, once for all processes of this run."""
    from parallel import folder_made_once

    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent  # each process has a folder of its own below the run's
    return lambda name, make: folder_made_once(common / name, make)


@pytest.fixture(scope="session")
def kept(request) -> Callable[[str, str, Callable[[Path], object]], Path]:
    """kept(name, made_of, make) -> the folder that make(folder) has filled, once for all runs: pytest's cache keeps it
    until made_of, the text of everything that decides its files, is another."""
    from parallel import folder_kept

    return lambda name, made_of, make: folder_kept(request.config.cache.mkdir(name), made_of, make)


def kept_files(kept, name: str, make_files: Callable[[], dict[str, bytes]], *modules: ModuleType) -> dict[str, bytes]:
    """What make_files gives, which ExecuTorch and these modules decide."""

    def make(folder: Path) -> None:
        for name, data in make_files().items():
            (folder / name).write_bytes(data)

    versions = [version(package) for package in ("torch", "executorch")]
    made_of = "\n".join([*versions, *(Path(module.__file__).read_text() for module in modules)])
    return {path.name: path.read_bytes() for path in sorted(kept(name, made_of, make).iterdir())}


@pytest.fixture(scope="session")
def masked(made_once) -> Callable[[str], dict[str, str]]:
    """masked("avx512,avxvnni") -> the environment of a process whose processor lacks these."""
    from processor_mask import build_processor_mask, need_processor_mask

    need_processor_mask()
    library = made_once("processor-mask", build_processor_mask) / "processor_mask.so"
    return lambda names: os.environ | {"LD_PRELOAD": str(library), "PROCESSOR_MASK": names}


@pytest.fixture(scope="session")
def tiny_files(kept) -> dict[str, bytes]:
    """The model files of tests/tiny_model.py: exporting them takes ten seconds, so it is done once."""
    import tiny_model

    return kept_files(kept, "tiny-files", tiny_model.make_files, tiny_model)


@pytest.fixture(scope="session")
def tiny_programs(kept) -> dict[str, bytes]:
    """The programs of tests/tiny_programs.py, likewise."""
    import tiny_model
    import tiny_programs

    from hqdit_mobile.ops import float_ops

    return kept_files(kept, "tiny-programs", tiny_programs.make_programs, tiny_programs, tiny_model, float_ops)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_files, tmp_path_factory) -> Path:
    """A whole bundle, to be left unchanged."""
    from tiny_model import write_bundle

    return write_bundle(tmp_path_factory.mktemp("tiny") / "bundle", tiny_files)


@pytest.fixture(scope="session")
def int8_tiled_bundle(kept, tiny_files) -> Path:
    """The tiny model with a decoder in int8, whole and in tiles, to be left unchanged: lowering it takes a minute."""
    from vae_cases import tiled_bundle, tiled_made_of

    from hqdit_mobile.export.lowering.vae_decoder import with_int8_convolutions

    return kept("int8-tiles", tiled_made_of(), lambda folder: tiled_bundle(folder, tiny_files, with_int8_convolutions))


@pytest.fixture(scope="session")
def emoji_bundle(request) -> Path:
    """The reference model exported by the command, with a small calibration set; to be left unchanged. It is kept in
    pytest's cache until a source that it is made of changes. HQDIT_TEST_BUNDLE names a bundle to use in its place."""
    from exported_bundle import exported_emoji_bundle

    given = os.environ.get("HQDIT_TEST_BUNDLE")
    return Path(given).resolve() if given else exported_emoji_bundle(request.config.cache.mkdir("emoji-bundle"))


@pytest.fixture(scope="session")
def arm_drivers(kept) -> Path:
    """The folder with the programs of tests/native for ARM: building them takes half a minute, so once."""
    from native_build import ARM, build_for_arm, drivers_made_of, need_arm

    need_arm()
    return kept("arm-drivers", drivers_made_of(ARM[0]), build_for_arm)


@pytest.fixture(scope="session")
def sme2_drivers(kept) -> Path:
    """The same with the backend for SME2."""
    from debian13 import run_in_debian13
    from native_build import build_for_sme2, drivers_made_of, need_sme2

    need_sme2()
    return kept("sme2-drivers", drivers_made_of("clang++-21", run=run_in_debian13), build_for_sme2)


@pytest.fixture(scope="session")
def sanitized_drivers(kept) -> Path:
    """The same for this processor, under AddressSanitizer and UndefinedBehaviorSanitizer."""
    from native_build import build_with_sanitizers, drivers_made_of, need_compiler

    need_compiler()
    return kept("sanitized-drivers", drivers_made_of(os.environ.get("CXX", "c++")), build_with_sanitizers)


@pytest.fixture(scope="session")
def amx_drivers(kept) -> Path:
    """The same that run the AMX kernels, on AMX or under emulation."""
    from native_build import build_for_amx, drivers_made_of, need_amx

    need_amx()
    folder = kept("amx-drivers", drivers_made_of(os.environ.get("CXX", "c++")), build_for_amx)
    if not any(folder.iterdir()):
        pytest.skip("the compiler has no AMX")
    return folder
