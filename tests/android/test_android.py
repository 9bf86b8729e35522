# SPDX-License-Identifier: Apache-2.0
"""The Android library and the demo app on a desktop JVM: docs/android.md says what that covers and what it does not."""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from android_checks import DEMO, build_jni, errors, jni_complaints, maven, need_tools, results, run_maven
from android_dex import NATIVE, STATIC, classes

from hqdit_mobile.runtime.engine import Pipeline

pytest.importorskip("PIL")
KOTLIN = DEMO / "hqdit" / "src" / "main" / "kotlin" / "hqdit" / "mobile"
SETTINGS = {
    "defaults": (0, {"seed": 5}),
    "dpm": (2, {"seed": 7, "scheduler": "dpm-solver++", "steps": 13, "guidance_scale": 2.5}),
    "interval": (4, {"seed": 2**64 - 1, "guidance_interval": (0.25, 0.75), "eta": 0.5}),
    "no-class": (5, {"seed": 1, "guidance_scale": 1.0}),
}


def c_enum(name: str) -> dict[str, int]:
    """An enum of the engine's header, without the HQDIT_ of its names."""
    header = (DEMO.parent / "export" / "sampler" / "include" / "hqdit.h").read_text()
    (body,) = re.findall(rf"typedef enum {name} \{{(.*?)\}} {name};", header, re.S)
    return {key: int(number) for key, number in re.findall(r"HQDIT_(\w+) = (\d+)", body)}


@pytest.fixture(scope="module")
def checked(tmp_path_factory, tiny_bundle, request) -> Path:
    """The output folder of the Maven checks."""
    need_tools()
    output = tmp_path_factory.mktemp("android")
    jni = build_jni(output / "jni")
    run_maven(output, jni, tiny_bundle, request.getfixturevalue("emoji_bundle"))
    return output


def test_every_class_ran(checked):
    sources = [*DEMO.glob("*/src/test/**/*Test.kt"), *DEMO.glob("checks/hqdit/kotlin/*Test.kt")]
    expected = {source.stem: source.read_text().count("@Test\n") for source in sources}
    assert len(sources) >= 10
    assert results(checked / "hqdit") | results(checked / "app") == expected


@pytest.mark.parametrize("name", SETTINGS)
def test_kotlin_draws_the_bytes_that_python_draws(checked, tiny_bundle, name):
    label, settings = SETTINGS[name]
    with Pipeline(tiny_bundle, threads=1) as pipeline:
        expected = pipeline.generate(label, **settings)
    actual = np.frombuffer((checked / f"{name}.rgb").read_bytes(), np.uint8)
    np.testing.assert_array_equal(actual.reshape(expected.shape), expected)


def test_the_real_model_draws_the_bytes_that_python_draws(checked, emoji_bundle):
    with Pipeline(emoji_bundle) as pipeline:
        expected = pipeline.generate(3, seed=11, steps=4)
    actual = np.frombuffer((checked / "real.rgb").read_bytes(), np.uint8)
    np.testing.assert_array_equal(actual.reshape(expected.shape), expected)


def test_jni_is_used_as_its_rules_say(checked):
    """-Xcheck:jni complains on the JVM's output, which surefire puts into its dumps or Maven's log. Robolectric's own
    native code, which the app's JVM also loads, is the only one that may: android_checks.py names the places."""
    texts = [checked / "maven.log", *checked.glob("*/surefire-reports/*.dumpstream")]
    assert not [complaint for text in texts for complaint in jni_complaints(text.read_text())]
    assert "CallStatic" not in (DEMO / "hqdit" / "src" / "main" / "cpp" / "hqdit_jni.cpp").read_text()


@pytest.mark.parametrize("form", ["{}", "Corrupted channel by directly writing to native stream. Stream '{}'."])
def test_a_broken_jni_rule_is_found(form):
    """The words are those of OpenJDK 17, the frames those of a JNI library broken on purpose."""
    unchecked = "WARNING in native method: JNI call made without checking exceptions when required to from "
    ours = [unchecked + "GetArrayLength", "\tat hqdit.mobile.Native.generate(Native Method)"]
    jdk = "\tat jdk.internal.loader.NativeLibraries.load(java.base@17.0.15/Native Method)"
    robolectric = "\tat org.robolectric.nativeruntime.DefaultNativeRuntimeLoader.loadLibrary(A.java:409)"
    leak = ["WARNING: JNI local refs: 66, exceeds capacity: 65", jdk]
    fatal = ["FATAL ERROR in native method: Using JNIEnv in the wrong thread"]

    def found(*lines: str) -> list[str]:
        return jni_complaints("\n".join(form.format(line) for line in lines))

    assert found(*ours) == [f"{ours[0]} at hqdit.mobile.Native.generate"]
    assert found(*leak, "\tat hqdit.mobile.Native.<clinit>(Native.kt:12)", *fatal) == [
        f"{leak[0]} at hqdit.mobile.Native.<clinit>",
        *fatal,
    ]
    assert found(*leak, robolectric, "\tat hqdit.mobile.Native.open(Native Method)") == []


def resources(apk: Path) -> set[str]:
    """The names in the resource table, such as layout/main."""
    done = subprocess.run(["aapt2", "dump", "resources", apk], capture_output=True, text=True, check=True)
    return set(re.findall(r"^ +resource 0x\w+ (\w+/\w+)", done.stdout, re.M))


@pytest.fixture(scope="module")
def shrunk(checked, tiny_bundle):
    """The classes of the app, as R8 leaves them under the rules of the release build. Then the app has run as well."""
    values = {"hqdit.library": checked / "jni" / "libhqdit_jni.so", "hqdit.tiny": tiny_bundle}
    done = maven(DEMO / "checks" / "r8" / "pom.xml", "test", checked, values)
    assert done.returncode == 0, errors(done)
    return classes((checked / "shrunk" / "dex" / "classes.dex").read_bytes())


def test_r8_leaves_what_jni_looks_up(shrunk):
    source = (DEMO / "hqdit" / "src" / "main" / "cpp" / "hqdit_jni.cpp").read_text()
    exported = set(re.findall(r"Java_hqdit_mobile_Native_(\w+)\(", source))
    native = {method.name: method for method in shrunk["Lhqdit/mobile/Native;"] if method.flags & NATIVE}
    assert len(exported) == 12
    assert native.keys() == exported - {"version", "estimate"}, "the app calls all of them but these"
    assert all(method.flags & STATIC for method in native.values())
    assert re.findall(r"->((?:Get\w+|From\w+)ID|FindClass)\(", source) == ["GetMethodID"]
    (looked_up,) = re.findall(r'GetMethodID\(type, "(\w+)", "([^"]+)"\)', source)
    relay = [method for method in shrunk["Lhqdit/mobile/ProgressRelay;"] if method[:2] == looked_up]
    assert len(relay) == 1 and not relay[0].flags & STATIC


def test_r8_renames_what_no_rule_names(shrunk):
    """Else the test above would show nothing about the rules."""
    ours = {name.rpartition("/")[2].rstrip(";") for name in shrunk if "hqdit" in name}
    assert ours == {"Native", "ProgressRelay", "EngineService", "MainActivity", "SharedPictureProvider", "SquareFrame"}


def test_the_shrunk_app_runs(shrunk, checked):
    """Code of R8 for the JVM, under the same rules, and the shrunk resources."""
    assert results(checked / "r8") == {"ShrunkAppTest": 1}


def test_the_shrinker_leaves_the_resources_in_use(shrunk, checked):
    """That is all of them, says lint, but for the planted one."""
    before, after = (resources(checked / "shrunk" / apk) for apk in ("unshrunk.apk", "resources.apk"))
    assert {"layout/main", "plurals/steps_description", "array/import_sources", "drawable/save"} <= after
    assert before - after == {"xml/planted"}


def test_lint_finds_the_planted_mistakes_and_no_other(checked):
    done = maven(DEMO / "checks" / "lint" / "pom.xml", "verify", checked, {})
    assert done.returncode == 0, errors(done)
    issues = ElementTree.parse(checked / "lint" / "report.xml").getroot().iter("issue")
    found = {(issue.get("id"), os.path.normpath(issue[0].get("file", ""))) for issue in issues}
    assert found == {
        ("UnusedResources", "checks/planted/res/xml/planted.xml"),
        ("SetTextI18n", "checks/planted/hqdit/mobile/demo/Planted.kt"),
    }


@pytest.mark.parametrize(
    ("c_name", "file", "kotlin_name", "prefix"),
    [
        ("hqdit_scheduler_kind", "GenerationRequest.kt", "Scheduler", "SCHEDULER_"),
        ("hqdit_load_mode", "OpenOptions.kt", "LoadMode", "LOAD_"),
        ("hqdit_phase", "Progress.kt", "Phase", "PHASE_"),
    ],
)
def test_enums_cross_jni_in_the_order_of_c(c_name, file, kotlin_name, prefix):
    (body,) = re.findall(rf"enum class {kotlin_name} \{{(.*?)^ *\}}", (KOTLIN / file).read_text(), re.M | re.S)
    names = re.findall(r"^ +([A-Z_]+),?$", body, re.M)
    assert {prefix + name: number for number, name in enumerate(names)} == c_enum(c_name)


def test_each_status_has_its_exception():
    """Three of them need a fault of the system: no test of the library brings those about."""
    kinds = re.findall(r"(\d+) -> (\w+)\(message\)", (KOTLIN / "HqDitException.kt").read_text())
    statuses = {name.replace("_", "").lower(): number for name, number in c_enum("hqdit_status").items()}
    statuses["runtimefailure"] = statuses.pop("runtimeerror")
    expected = {name: number for name, number in statuses.items() if name not in ("ok", "internal")}
    assert {name.lower(): int(number) for number, name in kinds} == expected


def test_screenshots_show_the_picture(checked):
    from PIL import Image

    for name in ("light", "dark", "landscape"):
        pixels = np.asarray(Image.open(checked / f"screenshot-{name}.png").convert("RGB"))
        assert pixels.shape[0] * pixels.shape[1] == 786 * 1702
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1000, "a screen without a picture has few colours"


def test_install_script_packs_the_bundle(tmp_path, tiny_bundle):
    demo = tmp_path / "demo"
    demo.mkdir()
    shutil.copy(DEMO / "install_bundle.sh", demo)
    run = subprocess.run(["sh", demo / "install_bundle.sh", "--assets", tiny_bundle], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    packed = demo / "app" / "src" / "main" / "assets" / "bundle"
    for file in tiny_bundle.iterdir():
        assert (packed / file.name).read_bytes() == file.read_bytes()
    wrong = subprocess.run(["sh", demo / "install_bundle.sh", tmp_path], capture_output=True, text=True)
    assert wrong.returncode == 2 and "manifest.json" in wrong.stderr


def test_install_script_installs_with_adb(tmp_path, tiny_bundle):
    """A stand-in for adb writes down what it is asked to do."""
    adb = tmp_path / "adb"
    adb.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    adb.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", DEMO / "install_bundle.sh", tiny_bundle], check=True, env=environment, capture_output=True)
    calls = (tmp_path / "calls").read_text()
    for name in ("manifest.json", "transformer.pte", "vae_decoder.pte"):
        assert f"push {tiny_bundle}/{name} /data/local/tmp/hqdit-bundle/{name}" in calls
    (copy,) = re.findall(r"run-as hqdit\.mobile\.demo sh -c '(.*)'$", calls, re.M)
    phone = tmp_path / "phone"
    (phone / "files" / "bundles" / "current").mkdir(parents=True)
    (phone / "files" / "bundles" / "current" / "old.pte").touch()
    # What the phone's shell does, with the bundle where adb was to push it.
    subprocess.run(["sh", "-ec", copy.replace("/data/local/tmp/hqdit-bundle", str(tiny_bundle))], check=True, cwd=phone)
    assert {path.name for path in phone.rglob("*") if path.is_file()} == {path.name for path in tiny_bundle.iterdir()}
    assert [path.name for path in (phone / "files" / "bundles").iterdir()] == ["current"]


def test_install_script_misses_adb(tmp_path, tiny_bundle):
    for tool in ("dirname", "ls", "grep"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    command = [shutil.which("sh") or "", DEMO / "install_bundle.sh", tiny_bundle]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 2 and "adb" in done.stderr


def test_the_wrapper_fetches_the_gradle_that_the_android_plugin_wants(shrunk, checked):
    properties = (DEMO / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text()
    (version,) = re.findall(r"gradle-([\d.]+)-bin\.zip", properties)
    check = [path.read_bytes() for path in (checked / "shrunk" / "rules").rglob("VersionCheckPlugin*.class")]
    assert any(version.encode() in text for text in check)


def test_versions_agree():
    """The Maven checks compile with what the Gradle build compiles with."""
    catalog = dict(re.findall(r'^(\w+) = "([^"]+)"', (DEMO / "gradle" / "libs.versions.toml").read_text(), re.M))
    pom = dict(re.findall(r"<(\w+)\.version>([^<]+)</", (DEMO / "checks" / "pom.xml").read_text()))
    for name in ("agp", "kotlin", "coroutines", "robolectric"):
        assert catalog[name] == pom[name]
    (lint,) = re.findall(r"<lint\.version>(\d+)([^<]+)</", (DEMO / "checks" / "lint" / "pom.xml").read_text())
    assert f"{int(lint[0]) - 23}{lint[1]}" == catalog["agp"]
