# SPDX-License-Identifier: Apache-2.0
"""Every public call says what it takes, gives and raises: names, shapes, units. Public is `hqdit_mobile.__all__`."""

import ast
import builtins
import dataclasses
import inspect
import re
import textwrap
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

import hqdit_mobile

ROOT = Path(__file__).parent.parent
STRICT = re.search(r"\[\[tool\.mypy\.overrides\]\]\nmodule = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.S)
ARRAY = re.compile(r"\b(Tensor|ndarray)\b")
SHAPE = re.compile(r"\[[^\]]+\]")
NAMES = sorted(hqdit_mobile.__all__)
OBJECTS = {name: getattr(hqdit_mobile, name) for name in NAMES}


def sections(documentation: str) -> dict[str, dict[str, str]]:
    """{"Args": {name: text}, ...} of a docstring; the text of "Returns" is under the name ""."""
    found: dict[str, dict[str, str]] = {}
    for head, body in re.findall(r"^(\w+):\n((?:    .*(?:\n|$)|\n(?=    ))+)", inspect.cleandoc(documentation), re.M):
        if head == "Returns":
            found[head] = {"": body}
        else:
            entries = re.findall(r"^    (\w+): (.+(?:\n {5,}.+)*)", body, re.M)
            found[head] = dict(entries)
            assert len(entries) == len(re.findall(r"^    \S", body, re.M)), f"an entry has no name:\n{body}"
    return found


def calls() -> dict[str, object]:
    """The public functions, and the public methods of the public classes that those define themselves."""
    found = {name: thing for name, thing in OBJECTS.items() if inspect.isfunction(thing)}
    for name, kind in OBJECTS.items():
        if inspect.isclass(kind):
            members = {key: getattr(kind, key) for key in vars(kind) if not key.startswith(("_", "extra_repr"))}
            found |= {f"{name}.{key}": member for key, member in members.items() if inspect.isroutine(member)}
    return found


def fields(kind: type) -> dict[str, str]:
    """Name and type of what makes an object of ``kind``."""
    if dataclasses.is_dataclass(kind):
        return {field.name: str(field.type) for field in dataclasses.fields(kind) if field.init}
    if issubclass(kind, msgspec.Struct):
        return dict.fromkeys(kind.__struct_fields__, "")
    parameters = inspect.signature(kind).parameters.values()
    return {parameter.name: str(parameter.annotation) for parameter in parameters}


def check_entries(what: str, entries: dict[str, str], types: dict[str, str]) -> None:
    assert list(entries) == list(types), what
    for name, kind in types.items():
        if ARRAY.search(kind) and "Callable" not in kind:
            assert SHAPE.search(entries[name]), f"{what}: {name} has no shape"


def check_raises(what: str, names: list[str]) -> None:
    for name in names:
        error = OBJECTS.get(name) or getattr(builtins, name, None)
        assert inspect.isclass(error) and issubclass(error, BaseException), f"{what}: {name} is no exception"


def test_names_are_where_they_are_said_to_be():
    strict = re.findall(r'"([\w.*]+)"', STRICT[1])
    for name in NAMES:
        module = f"hqdit_mobile.{hqdit_mobile._HOME[name]}"
        thing = getattr(import_module(module), name)
        assert thing is OBJECTS[name] and getattr(thing, "__module__", module) == module
        assert any(re.fullmatch(pattern.replace("*", ".*"), module) for pattern in strict), f"{module} is not strict"
    tree = ast.parse((ROOT / "hqdit_mobile/__init__.py").read_text())
    typed = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(NAMES) == set(hqdit_mobile._HOME) == typed - {"import_module", "TYPE_CHECKING", "Any"}


@pytest.mark.parametrize("name", sorted(calls()))
def test_calls_say_what_they_take_give_and_raise(name):
    call = calls()[name]
    function = inspect.unwrap(getattr(call, "__func__", call))
    said = sections(function.__doc__ or "")
    types = {
        parameter.name: str(parameter.annotation)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in ("self", "cls")
    }
    check_entries(name, said.get("Args", {}), types)
    returned = str(inspect.signature(function).return_annotation)
    assert ("Returns" in said) == (returned not in ("None", str(inspect.Signature.empty))), name
    if re.fullmatch(r"(np\.)?(ndarray|Tensor)", returned):
        assert SHAPE.search(said["Returns"][""]), f"{name}: the result has no shape"
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(tree))
    assert "Raises" in said or not raises, f"{name} raises and does not say what"
    check_raises(name, list(said.get("Raises", {})))


@pytest.mark.parametrize("name", [name for name, thing in OBJECTS.items() if inspect.isclass(thing)])
def test_classes_say_what_they_hold(name):
    kind = OBJECTS[name]
    said = sections(kind.__doc__ or "")
    assert kind.__doc__ and len(kind.__doc__) > 20
    if issubclass(kind, BaseException):
        return
    described = said.get("Attributes") or said.get("Args") or {}
    check_entries(name, described, fields(kind))
    check_raises(name, list(said.get("Raises", {})))
    assert "Raises" in said or not hasattr(kind, "__post_init__")
    for key, member in vars(kind).items():
        if isinstance(member, property) and not key.startswith("_"):
            assert member.__doc__, f"{name}.{key}"


def test_the_page_lists_all_of_it():
    page = (ROOT / "docs/python.md").read_text()
    assert not [name for name in NAMES if not re.search(rf"`{name}\b", page)]
