"""What must not rot: which way imports point."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "zmount"
# lower number = lower layer; packages of one number do not import each other
LAYERS = {
    "errors": 0,
    "tids": 0,
    "sizes": 0,
    "topology": 1,
    "plan": 2,
    "render": 2,
    "filestorage": 2,
    "server": 3,
    "agent": 3,
    "effects": 4,
    "operations": 5,
    "cli": 6,
}
# the public API promises topology.instance(NAME).zope_conf()
ALLOWED = {("zmount.topology.instances", "zmount.render.zope_conf")}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_imports_point_downwards_only():
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules()
        for imported in imports(path)
        if imported.startswith("zmount.") and layer(module) in LAYERS
        if (module, imported) not in ALLOWED and layer(imported) in LAYERS
        if LAYERS[layer(imported)] >= LAYERS[layer(module)] and layer(imported) != layer(module)
    ]
    assert wrong == []


def test_every_package_has_a_layer():
    named = {layer(module) for module, _ in modules()} - {"", "__main__"}
    assert named <= set(LAYERS), "a new package must say where it stands"


def test_there_are_no_import_cycles():
    graph = {
        module: {name for name in imports(path) if name.startswith("zmount.")}
        for module, path in modules()
    }
    for module, imported in ALLOWED:
        graph[module].discard(imported)
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above, module))
        if module in done or module not in graph:
            return
        for name in sorted(graph[module]):
            visit(name, (*above, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def test_only_the_hands_touch_the_world():
    worldly = {"subprocess", "socket", "shutil", "tempfile", "signal", "fcntl"}
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules()
        for imported in imports(path)
        if imported.split(".")[0] in worldly
        if layer(module) not in ("effects", "filestorage", "server", "agent")
    ]
    assert wrong == []
