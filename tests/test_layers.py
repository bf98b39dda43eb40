"""The import rules of docs/architecture.md, kept by reading the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pytest_perfguard"
#: A wing imports from itself and from the wings named here; a part of `tools` never imports another part.
LAW = {
    "core": set(),
    "engine": {"core"},
    "tools": {"core"},
    "compat": {"core", "engine", "tools"},
    "plugin": {"core", "engine", "tools", "compat"},
    "cli": {"core", "engine", "tools", "compat"},
    "__main__": {"cli"},
}
#: Loaded only inside the function that needs them.
HEAVY = {"scipy", "numpy", "psutil", "asyncio", "tabulate", "multiprocessing", "filelock", "tracemalloc"}
FILES = sorted(PACKAGE.rglob("*.py"))


def wing_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(imported module, at module level?) of every import statement."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(function, ast.If) and "TYPE_CHECKING" in ast.dump(function.test))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            yield name, id(node) not in inside


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_wing_imports_only_from_wings_below(path):
    """core <- {engine, tools} <- compat <- {plugin, cli}"""
    own = wing_of(path)
    for name, _top in imports(path):
        if name.startswith("pytest_perfguard.") and own != "__init__":
            other = name.split(".")[1]
            assert other == own or other in LAW[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_tool_imports_no_other_tool(path):
    """Pools, caches, batches, streams, monitor and start-up are independent of one another."""
    own = path.relative_to(PACKAGE).parts
    if own[0] == "tools":
        others = {name.split(".")[2] for name, _top in imports(path) if name.startswith("pytest_perfguard.tools.")}
        assert others <= {own[1]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_pytest_is_known_only_to_the_plugin(path):
    """Everything else is usable, and testable, without pytest."""
    if wing_of(path) != "plugin":
        assert not [name for name, _top in imports(path) if name.split(".")[0] in ("pytest", "_pytest")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_where_they_are_used(path):
    """Nothing heavy at module level."""
    assert not [name for name, top in imports(path) if top and name.split(".")[0] in HEAVY]


#: How text gets to a terminal or to the user otherwise.
SHOWING = {"write_line", "line", "rewrite", "section", "UsageError", "fail", "print", "writerow"}
#: What makes it printable first; commands that print fixed texts of their own.
SHOWN_SAFELY = {
    "plugin/output.py": {"write_line", "section", "UsageError", "fail"},
    "plugin/outcomes.py": {"line"},
    "plugin/pytest_internals.py": {"line"},
    "plugin/terminal.py": {"rewrite"},
    "compat/exchange.py": {"writerow"},
    "engine/report/csv.py": {"writerow"},
    "compat/table.py": {"writerow"},
    "cli/common.py": {"print"},
    "cli/demo.py": {"print"},
    "cli/exchange.py": {"print"},
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_text_is_shown_in_one_way(path):
    """What a test, a file or a worker wrote passes `text.printable` before anybody sees it."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    own = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
    imported = {"fail", "write_line"} if "from pytest_perfguard.plugin.output import" in path.read_text() else set()
    allowed = SHOWN_SAFELY.get(path.relative_to(PACKAGE).as_posix(), set())
    assert not (names & SHOWING) - own - imported - allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_hold_one_thought(path):
    """Most files have 100 to 400 lines; one that outgrows 500 holds more than one thought."""
    assert len(path.read_text().splitlines()) <= 500


#: Mentions of `Any` in each wing: values of any type that users' code makes and gets back. The numbers may only go down.
MAX_ANY = {"core": 1, "engine": 0, "tools": 151, "compat": 4, "plugin": 3, "cli": 0}


@pytest.mark.parametrize("wing", MAX_ANY)
def test_any_is_rare(wing):
    """`object`, type variables, protocols and `JsonValue` name what a value is; `Any` switches the type checker off."""
    trees = (ast.parse(path.read_text()) for path in (PACKAGE / wing).rglob("*.py"))
    found = sum(isinstance(node, ast.Name) and node.id == "Any" for tree in trees for node in ast.walk(tree))
    assert found <= MAX_ANY[wing], "use a type that fits"
    assert found == MAX_ANY[wing], f"fewer than before: lower the number in MAX_ANY to {found}"


def test_a_run_that_measures_nothing_loads_nothing_heavy(pytester):
    """Off means free: an ordinary run does not load what only measuring needs."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf
        def test_fast():
            pass
        """
    )
    program = (
        "import sys, pytest; status = pytest.main(['-q', '-p', 'no:asyncio', '-p', 'no:anyio', '-p', 'no:xdist',"
        " '-p', 'no:hypothesispytest', '-p', 'no:cacheprovider']);"
        "print('LOADED', sorted(m for m in sys.modules if m.split('.')[0] in"
        " ('scipy', 'numpy', 'psutil', 'asyncio', 'multiprocessing', 'filelock', 'tabulate', 'pytest_perfguard')));"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=pytester.path, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = done.stdout.partition("LOADED ")[2]
    modules = {
        "core",
        "core.option_specs",
        "core.originals",
        "plugin",
        "plugin.benchmark",
        "plugin.benchmark.fixtures",
        "plugin.benchmark.hooks",
        "plugin.benchmark.options",
        "plugin.fixtures",
        "plugin.stash",
        "plugin.options",
        "plugin.pytest_internals",
    }
    assert ast.literal_eval(loaded) == sorted(["pytest_perfguard", *(f"pytest_perfguard.{name}" for name in modules)])
