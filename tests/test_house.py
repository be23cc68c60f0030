"""The house: rooms import only downwards, no circles, every public class says what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOOR = {"bot": 3, "desk": 2, "replies": 1, "knowledge": 0, "register": 0}
MODULES = sorted(p for room in FLOOR for p in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: relative import; rooms are named in full"
            names |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_rooms_below_it(path: Path) -> None:
    here = path.relative_to(ROOT).parts[0]
    for name in imported(path):
        there = name.split(".")[0]
        if there in FLOOR and there != here:
            assert FLOOR[there] < FLOOR[here], f"{path.relative_to(ROOT)} imports {name}"


def test_no_circles_among_modules() -> None:
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in MODULES}
    graph = {m: {i for i in imported(p) if i in names and i != m} for m, p in names.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for other in graph[module]:
                # A package's __init__ may gather its own modules; that is not a circle of ideas.
                if not other.startswith(f"{module}.") and not module.startswith(f"{other}."):
                    visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_only_the_register_room_and_the_app_know_the_finder_of_personal_data() -> None:
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == "knowledge":
            assert not {i for i in imported(path) if i.startswith("register")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_and_public_class_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{path.name} has no docstring"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"
