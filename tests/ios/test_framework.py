# SPDX-License-Identifier: Apache-2.0
"""build_framework.sh with stand-ins for a Mac's tools: what it asks of them, and the frameworks it puts together."""

import plistlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ios_checks import DEMO

ROOT = DEMO.parent
PLATFORMS = {
    "iphoneos": ("iPhoneOS", "MinimumOSVersion", "17.0"),
    "iphonesimulator": ("iPhoneSimulator", "MinimumOSVersion", "17.0"),
    "macosx": ("MacOSX", "LSMinimumSystemVersion", "14.0"),
}
# Each writes down how it was called. cmake makes an empty library; xcrun answers as the library should be.
TOOLS = {
    "uname": "echo Darwin",
    "ninja": "",
    "git": "",
    "cmake": """
if [ "$1" = --build ]; then touch "$2/libhqdit.dylib"; exit; fi
while [ $# -gt 0 ]; do
  case $1 in -B) folder=$2 ;; -DCMAKE_OSX_DEPLOYMENT_TARGET=*) minimum=${1#*=} ;; esac
  shift
done
mkdir -p "$folder/sampler"
echo "${BUILT_FOR:-$minimum}" >"$folder/minimum"
echo _hqdit_open >"$folder/sampler/exports.txt"
""",
    "xcrun": """
case $1 in
  vtool) echo "    minos $(cat "$(dirname "$3")/minimum")" ;;
  nm) printf '_hqdit_open\\n%s' "${EXTRA_SYMBOL:-}" ;;
  dsymutil) mkdir -p "$4" ;;
esac
""",
    "xcodebuild": """
for word in "$@"; do
  if [ "${output:-}" = next ]; then output=$word; mkdir -p "$output"; fi
  if [ "$word" = -output ]; then output=next; fi
done
""",
    "python": "exit ${PYTHON_FAILS:-0}",
}


@pytest.fixture
def mac(tmp_path) -> dict[str, str]:
    """The environment of a copy of ios_demo, with the tools first on PATH."""
    demo = tmp_path / "repository/ios_demo"
    shutil.copytree(DEMO / "framework", demo / "framework")
    shutil.copy(DEMO / "build_framework.sh", demo)
    (demo / "HqDit").mkdir()
    header = tmp_path / "repository/export/sampler/include"
    header.mkdir(parents=True)
    shutil.copy(ROOT / "export/sampler/include/hqdit.h", header)
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "repository")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, script in TOOLS.items():
        (tools / name).write_text(f'#!/bin/bash\necho "{name} $*" >>{tmp_path}/calls\n{script}\n')
        (tools / name).chmod(0o755)
    # Only what a Mac has, too: no tool of this machine may stand in for a missing one.
    for name in ("bash", "dirname", "sed", "grep", "sort", "diff", "rm", "mkdir", "cp", "ln", "mv", "cat", "touch"):
        (tools / name).symlink_to(shutil.which(name) or "")
    return {"PATH": str(tools), "PYTHON": str(tools / "python"), "HOME": str(tmp_path)}


def build(mac: dict[str, str], **environment: str) -> subprocess.CompletedProcess[str]:
    demo = Path(mac["HOME"]) / "repository/ios_demo"
    return subprocess.run([demo / "build_framework.sh"], env=mac | environment, capture_output=True, text=True)


def test_frameworks_are_as_the_app_store_wants_them(mac):
    done = build(mac)
    assert done.returncode == 0, done.stdout + done.stderr
    demo = Path(mac["HOME"]) / "repository/ios_demo"
    assert (demo / "HqDit/CHqDit.xcframework").is_dir()
    (version,) = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    for sdk, (platform, minimum_key, minimum) in PLATFORMS.items():
        framework = demo / "build" / sdk / "CHqDit.framework"
        resources = framework / "Resources" if platform == "MacOSX" else framework
        info = plistlib.loads((resources / "Info.plist").read_bytes())
        assert info == {
            "CFBundleDevelopmentRegion": "en",
            "CFBundleExecutable": "CHqDit",
            "CFBundleIdentifier": "org.hqdit.mobile.CHqDit",
            "CFBundleInfoDictionaryVersion": "6.0",
            "CFBundleName": "CHqDit",
            "CFBundlePackageType": "FMWK",
            "CFBundleShortVersionString": version,
            "CFBundleSupportedPlatforms": [platform],
            "CFBundleVersion": version,
            minimum_key: minimum,
        }
        assert re.fullmatch(r"[A-Za-z0-9.-]+", info["CFBundleIdentifier"])
        assert re.fullmatch(r"\d+(\.\d+){0,2}", version)
        manifest = plistlib.loads((resources / "PrivacyInfo.xcprivacy").read_bytes())
        assert manifest["NSPrivacyTracking"] is False and manifest["NSPrivacyCollectedDataTypes"] == []
        assert (framework / "CHqDit").is_file() and (framework / "Headers/hqdit.h").is_file()
        assert "framework module CHqDit" in (framework / "Modules/module.modulemap").read_text()
        assert (framework.parent / "CHqDit.framework.dSYM").is_dir(), "beside the framework, not inside"
        if platform != "MacOSX":
            assert {path.name for path in framework.iterdir()} == {
                *("CHqDit", "Headers", "Modules", "Info.plist", "PrivacyInfo.xcprivacy")
            }


def test_what_is_asked_of_the_tools(mac):
    build(mac)
    calls = (Path(mac["HOME"]) / "calls").read_text()
    for sdk, (_, _, minimum) in PLATFORMS.items():
        (configure,) = [line for line in calls.splitlines() if f"-DCMAKE_OSX_SYSROOT={sdk} " in line]
        assert (
            f"-DCMAKE_OSX_DEPLOYMENT_TARGET={minimum}" in configure and "-DCMAKE_OSX_ARCHITECTURES=arm64" in configure
        )
        assert ("-DCMAKE_SYSTEM_NAME=iOS" in configure) == sdk.startswith("iphone")
    assert calls.count("install_name_tool -id @rpath/CHqDit.framework/CHqDit ") == 3
    assert calls.index("dsymutil") < calls.index("strip"), "symbols are taken before they are stripped"
    (create,) = re.findall(r"^xcodebuild -create-xcframework (.*)$", calls, re.M)
    assert create.count("-framework ") == create.count("-debug-symbols ") == 3


@pytest.mark.parametrize("tool", ["xcodebuild", "xcrun", "cmake", "ninja", "git"])
def test_a_missing_tool_is_named_first(mac, tool):
    (Path(mac["PATH"]) / tool).unlink()
    done = build(mac)
    assert done.returncode == 1 and f"build_framework.sh: {tool} is missing: " in done.stderr
    assert "cmake" not in (Path(mac["HOME"]) / "calls").read_text()


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"PYTHON_FAILS": "1"}, "has no executorch"),
        ({"BUILT_FOR": "18.0"}, "was not built for 17.0"),
        ({"EXTRA_SYMBOL": "_torch_abort"}, "shows other symbols"),
    ],
)
def test_what_is_wrong_leaves_the_old_framework(mac, environment, word):
    old = Path(mac["HOME"]) / "repository/ios_demo/HqDit/CHqDit.xcframework/old"
    old.mkdir(parents=True)
    done = build(mac, **environment)
    assert done.returncode == 1 and word in done.stderr
    assert old.is_dir()


def test_elsewhere_it_says_that_it_needs_a_mac():
    done = subprocess.run([DEMO / "build_framework.sh"], capture_output=True, text=True)
    assert done.returncode == 1 and "a Mac" in done.stderr


def test_executorch_is_fetched_in_one_place():
    """One pinned commit for both phones."""
    shared = (ROOT / "export/cmake/executorch_source.cmake").read_text()
    assert re.search(r"GIT_TAG [0-9a-f]{40} # v1\.5\.1", shared)
    for user in (DEMO / "framework/CMakeLists.txt", ROOT / "android_demo/hqdit/src/main/cpp/CMakeLists.txt"):
        assert "cmake/executorch_source.cmake" in user.read_text() and "GIT_TAG" not in user.read_text()
