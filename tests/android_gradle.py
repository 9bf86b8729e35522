# SPDX-License-Identifier: Apache-2.0
"""Makes plain Kotlin of the Gradle scripts, and the accessors of the version catalog, for checks/gradle."""

import re
import tomllib
from pathlib import Path

from android_checks import DEMO

# Each script, and what it runs on. android_demo/checks/gradle/kotlin has the last two.
RECEIVERS = {
    "settings.gradle.kts": "org.gradle.api.initialization.Settings",
    "build.gradle.kts": "org.gradle.api.Project",
    "app/build.gradle.kts": "accessors.ApplicationProject",
    "hqdit/build.gradle.kts": "accessors.LibraryProject",
}
# Those of Gradle's default imports that the scripts need, and the stand-ins of android_demo/checks/gradle/kotlin.
IMPORTS = ("org.gradle.api.*", "org.gradle.api.initialization.resolve.*", "org.gradle.kotlin.dsl.*", "accessors.libs")
PROVIDER = "org.gradle.api.provider.Provider"
KINDS = {
    "versions": f"{PROVIDER}<String>",
    "libraries": f"{PROVIDER}<org.gradle.api.artifacts.MinimalExternalModuleDependency>",
    "plugins": f"{PROVIDER}<org.gradle.plugin.use.PluginDependency>",
}


def wrapped(text: str, receiver: str, name: str) -> str:
    """The script as the body of a function, each line still under its number."""
    head, body = text.split("\n", 1)
    assert head.startswith("//"), "the first line gives way to the function's head"
    return f"{'; '.join(f'import {name}' for name in IMPORTS)}; fun {receiver}.{name}() {{\n{body}}}\n"


def catalog_accessors(catalog: dict) -> str:
    """libs, as Gradle makes it of the catalog: a dash, an underscore or a dot in a name goes one level down."""
    tree: dict = {}
    for kind, type_name in KINDS.items():
        for alias in catalog[kind]:
            node = tree if kind == "libraries" else tree.setdefault(kind, {})
            *groups, last = re.split(r"[-_.]", alias)
            for group in groups:
                node = node.setdefault(group, {})
            assert last not in node, f"{alias} is also a group of names"
            node[last] = type_name
    return "package accessors\n" + "\n".join(interface("Libs", tree)) + "\nval Any.libs: Libs get() = error(this)\n"


def interface(name: str, tree: dict) -> list[str]:
    inner, lines = [], [f"interface {name} {{"]
    for key, value in tree.items():
        nested = isinstance(value, dict)
        child = name + key.capitalize()
        lines.append(f"    val {key}: {child if nested else value}")
        inner += interface(child, value) if nested else []
    return [*lines, "}", *inner]


def write_scripts(folder: Path, edits: dict[str, tuple[str, str]]) -> set[str]:
    """Writes every script of android_demo as Kotlin, each of the edits {script: (old, new)} made in it. Returns where
    the edits are, such as "app_build_gradle_kts.kt:7"."""
    scripts = {path.relative_to(DEMO).as_posix() for path in DEMO.rglob("*.gradle.kts")}
    assert scripts == RECEIVERS.keys()
    folder.mkdir(parents=True)
    edited = set()
    for script, receiver in RECEIVERS.items():
        text = (DEMO / script).read_text()
        name = re.sub(r"\W", "_", script)
        if script in edits:
            before, after = text.split(edits[script][0])
            text = before + edits[script][1] + after
            edited.add(f"{name}.kt:{len(before.splitlines())}")
        (folder / f"{name}.kt").write_text(wrapped(text, receiver, name))
    catalog = tomllib.loads((DEMO / "gradle" / "libs.versions.toml").read_text())
    entries = [entry for kind in ("libraries", "plugins") for entry in catalog[kind].values()]
    referred = {entry["version"]["ref"] for entry in entries}
    assert referred <= set(catalog["versions"])
    (folder / "Libs.kt").write_text(catalog_accessors(catalog))
    return edited
