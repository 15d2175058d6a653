"""The layout holds: who may import what, no circle, few imports inside functions, no state at the level of modules."""

import ast
import functools
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lmconv_resource"
NAME = PACKAGE.name

LAYERS = {  # bottom to top; each may import itself, those below it, and the packages named here
    "text": set(),
    "models": set(),
    "usage_operations": set(),
    "history": set(),
    "errors": {"typing_extensions"},
    "polling": {"typing_extensions"},
    "aws": {"boto3", "botocore", "tenacity", "mypy_boto3_ec2", "mypy_boto3_license_manager", "mypy_boto3_sts"},
    "marks": set(),
    "lifecycle": {"typing_extensions"},
    "hosts": {"pulumi", "grpc", "google"},
    "provider": set(),
    "conversion_provider": set(),
    "fleet_provider": set(),
    "sdk": {"pulumi", "typing_extensions", "yaml"},
    "__init__": set(),
}
APART = ("emulator", "testing")
"""Stand apart: nothing imports them."""

FACES = ("aws.access", "lifecycle.job", "lifecycle.fleet")
"""Packages of which others import what their `__init__` names, and nothing below it."""

MOST_IMPORTS_INSIDE_FUNCTIONS = 8
STATEFUL = ("hosts/dynamic/provider.py",)
"""What one process has one of: its session."""

MUTATING = {"add", "append", "clear", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}


STATES = ("dict", "list", "set", "defaultdict", "Lock", "Event")

MODULES = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in APART]


def name_of(path: Path) -> str:
    return ".".join((NAME, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def layer_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def find_imports(tree: ast.AST, names: set[str]) -> Iterator[tuple[str, ast.stmt]]:
    """Give each module that is imported, those under `if TYPE_CHECKING` and inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports say the whole path"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in names else str(node.module)), node


NAMES = {name_of(path) for path in MODULES}


@functools.cache
def trees() -> dict[Path, ast.Module]:
    """Return the package's modules, parsed where a test asks for them and not where they are collected only."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


def test_imports_point_down() -> None:
    """A module imports the standard library, what its layer may import, and layers below it."""
    order = list(LAYERS)
    for path, tree in trees().items():
        layer = layer_of(name_of(path))
        for imported, _ in find_imports(tree, NAMES):
            top = imported.split(".")[0]
            if top == NAME:
                assert order.index(layer_of(imported)) <= order.index(layer), f"{name_of(path)} imports {imported}"
            elif top not in sys.stdlib_module_names:
                assert top in LAYERS[layer], f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("face", FACES)
def test_a_package_with_a_face_is_entered_there(face: str) -> None:
    """What stands inside of such a package can change without a word to anybody."""
    entered = {
        f"{name_of(path)} imports {imported}"
        for path, tree in trees().items()
        if not name_of(path).startswith(f"{NAME}.{face}")
        for imported, _ in find_imports(tree, NAMES)
        if imported.startswith(f"{NAME}.{face}.") and imported in NAMES
    }
    assert entered == set()


def test_there_is_no_circle() -> None:
    """No module imports itself by way of others, not even for types."""
    graph = {
        name_of(path): {i for i, _ in find_imports(tree, NAMES) if i.startswith(f"{NAME}.")} - {name_of(path)}
        for path, tree in trees().items()
    }
    list(graphlib.TopologicalSorter(graph).static_order())


def test_few_imports_stand_inside_functions() -> None:
    """Only what keeps boto3 out of a process that does not call AWS."""
    inside = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, tree in trees().items()
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert len(inside) <= MOST_IMPORTS_INSIDE_FUNCTIONS, inside


def test_no_module_has_state_that_changes() -> None:
    """No `global`, no cached function, no lock, and no table that is written to after the import."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path, tree in trees().items()
        if str(path.relative_to(PACKAGE)) not in STATEFUL
        for line in lines_with_state(tree)
    ]
    assert found == []


def lines_with_state(tree: ast.Module) -> Iterator[int]:
    assignments = [node for node in tree.body if isinstance(node, (ast.Assign, ast.AnnAssign))]
    targets = [
        target for node in assignments for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    tables = {target.id for target in targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield node.lineno
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names = (ast.unparse(each).split("(")[0].split(".")[-1] for each in node.decorator_list)
            if not {"cache", "lru_cache"}.isdisjoint(names):
                yield node.lineno
        changed: ast.expr | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
            changed = node.value
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING:
            changed = node.func.value
        if isinstance(changed, ast.Name) and changed.id in tables:
            yield changed.lineno
    for statement in assignments:
        if isinstance(statement.value, ast.Call):
            made = ast.unparse(statement.value.func)
            if made.startswith(("threading.", "collections.")) or made in STATES:
                yield statement.lineno


SHOWN_BY = {
    "marks": "lifecycle/test_rules.py",
    "aws/access": "aws/test_credentials.py",
    "aws/remedies": "aws/test_error_mapping.py",
    "conversion_provider": "hosts/test_dynamic_provider.py",
    "fleet_provider": "programs/test_fleet.py",
    "emulator": "emulator",
    "history": "lifecycle/test_rules.py",
    "hosts/dynamic": "hosts/test_dynamic_provider.py",
    "hosts/native": "hosts/native",
    "hosts/session": "hosts/test_dynamic_provider.py",
    "lifecycle": "lifecycle",
    "polling/runtime": "polling/test_poller.py",
    "provider": "hosts/test_dynamic_provider.py",
    "sdk": "sdk",
    "testing": "test_pytest_plugin.py",
}
"""What shows the modules that no test is named after, by module or package; a folder is all its tests."""


def test_each_module_has_its_tests() -> None:
    """By its name, or as the table above says."""
    tests = PACKAGE.parent / "tests"
    named = {path.stem.removeprefix("test_") for path in tests.rglob("test_*.py")}
    for path in PACKAGE.rglob("*.py"):
        if path.name != "__init__.py" and path.stem not in named:
            parts = path.relative_to(PACKAGE).with_suffix("").parts
            places = ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
            assert any(place in SHOWN_BY for place in places), f"nothing is said to show {path.relative_to(PACKAGE)}"
    assert all((tests / shown).exists() for shown in SHOWN_BY.values())
