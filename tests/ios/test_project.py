# SPDX-License-Identifier: Apache-2.0
"""The Xcode project, the resources and the texts of the app, parsed and compared with each other and the sources."""

import json
import plistlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from ios_checks import DEMO
from ios_texts import in_catalog, in_sources

openstep_plist = pytest.importorskip("openstep_plist", reason="pip install 'hqdit-mobile[test]'")
PROJECT = DEMO / "HqDitDemo.xcodeproj"
RESOURCES = DEMO / "Resources"
IDENTIFIER = re.compile(r"[0-9A-F]{24}")


@pytest.fixture(scope="module")
def project() -> dict:
    text = (PROJECT / "project.pbxproj").read_text()
    assert text.startswith("// !$*UTF8*$!\n")
    return openstep_plist.loads(text, use_numbers=False)


def of_kind(project: dict, kind: str) -> list[dict]:
    return [found for found in project["objects"].values() if found["isa"] == kind]


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(references, value.values()), set())
    if isinstance(value, list):
        return set().union(*map(references, value), set())
    return {value} if isinstance(value, str) and IDENTIFIER.fullmatch(value) else set()


def test_every_object_is_there_and_used(project):
    used = references(project["objects"]) | {project["rootObject"]}
    assert used == set(project["objects"])
    assert project["objectVersion"] == "77"


def test_every_path_exists(project):
    """Buildable folders: files come and go without a change of the project."""
    folders = of_kind(project, "PBXFileSystemSynchronizedRootGroup")
    packages = of_kind(project, "XCLocalSwiftPackageReference")
    files = [file for file in of_kind(project, "PBXFileReference") if file["sourceTree"] == "<group>"]
    paths = [found["path"] for found in folders + files] + [package["relativePath"] for package in packages]
    assert sorted(paths) == ["App", "Config.xcconfig", "HqDit", "Resources", "Studio"]
    assert all((DEMO / path).exists() for path in paths)


def test_products_are_those_of_the_packages(project):
    (target,) = of_kind(project, "PBXNativeTarget")
    products = {found["productName"] for found in of_kind(project, "XCSwiftPackageProductDependency")}
    assert len(target["packageProductDependencies"]) == len(products) == 2
    manifests = "".join((DEMO / name / "Package.swift").read_text() for name in ("HqDit", "Studio"))
    assert all(f'.library(name: "{product}"' in manifests for product in products)
    imported = {
        name for file in DEMO.glob("App/*.swift") for name in re.findall(r"^import (\w+)", file.read_text(), re.M)
    }
    assert products == imported & {"HqDit", "HqDitStudio", "CZlib", "CHqDit"}


def test_both_configurations_build_the_same_app(project):
    (target,) = of_kind(project, "PBXNativeTarget")
    configurations = project["objects"][target["buildConfigurationList"]]["buildConfigurations"]
    debug, release = (project["objects"][name]["buildSettings"] for name in configurations)
    assert debug == release
    assert debug["INFOPLIST_KEY_NSPhotoLibraryAddUsageDescription"], "or the app ends when it adds a picture"
    assert debug["TARGETED_DEVICE_FAMILY"] == "1,2"
    settings = (DEMO / "Config.xcconfig").read_text()
    minimum = re.findall(r"^IPHONEOS_DEPLOYMENT_TARGET = (.*)$", settings, re.M)
    assert minimum == ["17.0"] and ".iOS(.v17)" in (DEMO / "HqDit/Package.swift").read_text()


def test_the_scheme_runs_the_app(project):
    scheme = ElementTree.parse(PROJECT / "xcshareddata/xcschemes/HqDitDemo.xcscheme").getroot()
    for reference in scheme.iter("BuildableReference"):
        assert project["objects"][reference.get("BlueprintIdentifier")]["name"] == reference.get("BlueprintName")
        assert reference.get("ReferencedContainer") == f"container:{PROJECT.name}"


def test_the_packing_phase(project, tmp_path):
    """As Xcode runs it, with a bundle and without."""
    (phase,) = of_kind(project, "PBXShellScriptBuildPhase")
    packed = tmp_path / "products/HqDitDemo.app/Bundle"
    packed.parent.mkdir(parents=True)
    environment = {
        "SRCROOT": str(tmp_path),
        "TARGET_BUILD_DIR": str(tmp_path / "products"),
        "UNLOCALIZED_RESOURCES_FOLDER_PATH": "HqDitDemo.app",
        "PATH": "/usr/bin:/bin",
    }
    for has_bundle in (False, True, False):
        shutil.rmtree(tmp_path / "Bundle", ignore_errors=True)
        if has_bundle:
            (tmp_path / "Bundle").mkdir()
            (tmp_path / "Bundle/manifest.json").write_text("{}")
        done = subprocess.run([phase["shellPath"], "-c", phase["shellScript"]], env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert (packed / "manifest.json").is_file() == has_bundle


def test_the_bundle_is_packed_for_the_app(tmp_path):
    demo, bundle = tmp_path / "demo", tmp_path / "bundle"
    demo.mkdir()
    bundle.mkdir()
    shutil.copy(DEMO / "install_bundle.sh", demo)
    needed = {"manifest.json", "transformer.pte", "vae_decoder.pte", "README.md"}
    for name in (*needed, "report.html", "parity.json"):
        (bundle / name).write_text(name)
    done = subprocess.run([demo / "install_bundle.sh", bundle], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_text() for path in (demo / "Bundle").iterdir()} == {name: name for name in needed}
    wrong = subprocess.run([demo / "install_bundle.sh", tmp_path], capture_output=True, text=True)
    assert wrong.returncode == 2 and "manifest.json" in wrong.stderr
    assert (demo / "Bundle/manifest.json").is_file(), "the old one stays"


def test_texts_are_those_of_the_catalog():
    assert in_sources() == in_catalog()


def test_a_text_without_an_entry_is_found(tmp_path):
    catalog = tmp_path / "Localizable.xcstrings"
    catalog.write_text(json.dumps({"strings": {"Step %lld of %lld": {}, "Gone": {}}}))
    assert in_catalog(catalog) - in_sources() == {"Gone"}


def test_asset_catalogs_name_files_that_are_there():
    from PIL import Image

    icons = RESOURCES / "Assets.xcassets/AppIcon.appiconset"
    named = [image["filename"] for image in json.loads((icons / "Contents.json").read_text())["images"]]
    assert {path.name for path in icons.iterdir()} == {*named, "Contents.json"} and len(named) == 3
    for name in named:
        with Image.open(icons / name) as image:
            assert image.size == (1024, 1024) and image.mode in ("RGB", "L"), "without alpha"
    colours = json.loads((RESOURCES / "Assets.xcassets/AccentColor.colorset/Contents.json").read_text())["colors"]
    assert len(colours) == 2, "light and dark"


# APIs that need a reason, by what calls them in our Swift.
REASONS = {
    "NSPrivacyAccessedAPICategoryFileTimestamp": r"attributesOfItem|contentModificationDate|creationDate",
    "NSPrivacyAccessedAPICategoryDiskSpace": r"systemFreeSize|volumeAvailableCapacity",
    "NSPrivacyAccessedAPICategoryUserDefaults": r"UserDefaults|@AppStorage|@SceneStorage",
    "NSPrivacyAccessedAPICategorySystemBootTime": r"systemUptime|mach_absolute_time",
    "NSPrivacyAccessedAPICategoryActiveKeyboards": r"activeInputModes",
}


def test_the_privacy_manifest_is_what_the_app_calls():
    manifest = plistlib.loads((RESOURCES / "PrivacyInfo.xcprivacy").read_bytes())
    assert manifest["NSPrivacyTracking"] is False and manifest["NSPrivacyCollectedDataTypes"] == []
    declared = {entry["NSPrivacyAccessedAPIType"] for entry in manifest["NSPrivacyAccessedAPITypes"]}
    sources = [*DEMO.glob("App/*.swift"), *DEMO.glob("*/Sources/**/*.swift")]
    text = "".join(source.read_text() for source in sources)
    assert declared == {category for category, calls in REASONS.items() if re.search(calls, text)}


def test_no_entitlement_is_asked_for(project):
    """Each takes a team that pays, or a profile that has it; the app needs none. One that comes must be in both."""
    settings = [found["buildSettings"] for found in of_kind(project, "XCBuildConfiguration")]
    named = {each["CODE_SIGN_ENTITLEMENTS"] for each in settings if "CODE_SIGN_ENTITLEMENTS" in each}
    files = [file for file in DEMO.rglob("*.entitlements") if "build" not in file.relative_to(DEMO).parts]
    assert named == {str(file.relative_to(DEMO)) for file in files} == set()


def test_nothing_forbids_use_by_version():
    for manifest in DEMO.glob("*/Package.swift"):
        assert "unsafeFlags" not in manifest.read_text()


def test_nothing_here_needs_a_link():
    """A link out of the folder would be missing in a copy of it; the engine's header is the one that is meant."""
    links = [path.relative_to(DEMO) for path in DEMO.rglob("*") if path.is_symlink()]
    assert links == [Path("HqDit/Sources/CHqDit/hqdit.h")]
