# SPDX-License-Identifier: Apache-2.0
"""What the Android tests share: the JNI library for this machine, and one run of the Maven checks."""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from hqdit_mobile.ops.native import library_path

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "android_demo"
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
PACKAGES = {
    "java": "openjdk-17-jdk-headless",
    "mvn": "maven",
    "aapt2": "aapt",
    "cmake": "cmake",
    "ninja": "ninja-build",
}
# Maven's words when the registry, and not the code, is at fault.
UNRESOLVED = re.compile(r"(Could not (?:resolve dependencies|find artifact|transfer artifact)[^\n]{0,200})")
# How a complaint of -Xcheck:jni begins, and the lines of its stack.
COMPLAINT = re.compile(r"(?:WARNING|FATAL ERROR)\b.*(?:native method|JNI)")
FRAME = re.compile(r"\s+at (\S+?)\(")
# Robolectric's own native code, libandroid_runtime.so, draws complaints while it is loaded, makes a bitmap, fills one
# and, on a thread of its own without Java frames, shows one. Our JNI makes no static call.
ROBOLECTRIC = (
    "org.robolectric.nativeruntime.DefaultNativeRuntimeLoader.loadLibrary",
    "org.robolectric.nativeruntime.BitmapNatives.nativeCreate",
    "android.graphics.Bitmap.$$robo$$nativeCopyPixelsFromBuffer$nativeBinding",
)
ROBOLECTRIC_THREAD = re.compile(r"without checking exceptions when required to from CallStatic\w+")


def need_tools() -> None:
    missing = [f"{tool} (Debian: {package})" for tool, package in PACKAGES.items() if shutil.which(tool) is None]
    if not FRAMEWORK.is_file():
        missing.append(f"{FRAMEWORK} (Debian: android-framework-res)")
    if missing:
        pytest.skip(f"not found: {', '.join(missing)}")


def java_home() -> Path:
    return Path(os.environ.get("JAVA_HOME") or Path(shutil.which("javac") or "").resolve().parents[1])


def build_jni(folder: Path) -> Path:
    """hqdit_jni over the installed libhqdit.so."""
    source = DEMO / "hqdit" / "src" / "main" / "cpp"
    settings = [f"-DHQDIT_ENGINE={library_path('hqdit')}", "-DCMAKE_BUILD_TYPE=Release"]
    environment = os.environ | {"JAVA_HOME": str(java_home())}
    configure = ["cmake", "-S", source, "-B", folder, "-G", "Ninja", *settings]
    for command in (configure, ["cmake", "--build", folder]):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "libhqdit_jni.so"


def run_maven(output: Path, jni: Path, tiny: Path, bundle: Path) -> None:
    """Compiles, tests and lints both modules. Skips if the registry lacks something."""
    values = {"hqdit.library": jni, "hqdit.tiny": tiny, "hqdit.bundle": bundle}
    done = maven(DEMO / "checks" / "pom.xml", "verify", output, values)
    (output / "maven.log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, errors(done)


def maven(
    pom: Path, goal: str, output: Path, values: dict[str, object], **environment: str
) -> subprocess.CompletedProcess[str]:
    """One run of Maven. Skips if the registry lacks something."""
    settings = [f"-D{name}={value}" for name, value in ({"output": output} | values).items()]
    command = ["mvn", "-B", "--no-transfer-progress", "-f", pom, *settings, goal]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    if done.returncode != 0 and (unresolved := UNRESOLVED.search(done.stdout)):
        pytest.skip(f"Maven: {unresolved.group(1)}")
    return done


def errors(done: subprocess.CompletedProcess[str]) -> str:
    return "\n".join(line for line in done.stdout.splitlines() if "ERROR" in line)


def results(output: Path) -> dict[str, int]:
    """Tests run by each class of output/MODULE; every one has passed, since Maven ended well, unless it was skipped."""
    counts = {}
    for report in output.glob("surefire-reports/TEST-*.xml"):
        suite = ElementTree.parse(report).getroot()
        assert suite.get("skipped") == "0", f"{report.name} skips tests"
        counts[suite.get("name", "").rpartition(".")[2]] = int(suite.get("tests", "0"))
    return counts


def jni_complaints(text: str) -> list[str]:
    """The complaints of -Xcheck:jni in a Maven log or a surefire dump, each with the innermost frame that is not the
    JDK's, save for those about Robolectric's own native code."""
    lines = re.sub(r"^.*Stream '(.*)'\.$", r"\1", text, flags=re.MULTILINE).splitlines()
    complaints: list[list[str]] = []
    for line in lines:
        if COMPLAINT.match(line):
            complaints.append([line])
        elif complaints and (frame := FRAME.match(line)) and not frame.group(1).startswith(("java.", "jdk.")):
            complaints[-1].append(frame.group(1))
    return [
        " at ".join([head, *frames[:1]])
        for head, *frames in complaints
        if not (frames[0] in ROBOLECTRIC if frames else ROBOLECTRIC_THREAD.search(head))
    ]
