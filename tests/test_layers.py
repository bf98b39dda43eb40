"""The import rules of docs/architecture.md, kept by reading the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
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


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """Every node of a file's syntax tree. Each file is read once for all rules."""
    return [*ast.walk(ast.parse(path.read_text()))]


@cache
def imports(path: Path) -> list[tuple[str, bool]]:
    """(imported module, at module level?) of every import statement."""
    inside = {
        id(node)
        for function in nodes_of(path)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(function, ast.If) and "TYPE_CHECKING" in ast.dump(function.test))
        for node in ast.walk(function)
    }
    found = []
    for node in nodes_of(path):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        found += [(name, id(node) not in inside) for name in names]
    return found


def test_a_wing_imports_only_from_wings_below():
    """core <- {engine, tools} <- compat <- {plugin, cli}"""
    assert [
        f"{name_of(path)} imports {name}"
        for path in FILES
        if (own := wing_of(path)) != "__init__"
        for name, _top in imports(path)
        if name.startswith("pytest_perfguard.")
        if name.split(".")[1] not in LAW[own] | {own}
    ] == []


def test_a_tool_imports_no_other_tool():
    """Pools, caches, batches, streams, monitor and start-up are independent of one another."""
    assert [
        f"{name_of(path)} imports {name}"
        for path in FILES
        if wing_of(path) == "tools"
        for name, _top in imports(path)
        if name.startswith("pytest_perfguard.tools.")
        if name.split(".")[2] != path.relative_to(PACKAGE).parts[1]
    ] == []


def test_pytest_is_known_only_to_the_plugin():
    """Everything else is usable, and testable, without pytest."""
    assert [
        f"{name_of(path)} imports {name}"
        for path in FILES
        if wing_of(path) != "plugin"
        for name, _top in imports(path)
        if name.split(".")[0] in ("pytest", "_pytest")
    ] == []


def test_heavy_packages_are_imported_where_they_are_used():
    """Nothing heavy at module level."""
    assert [
        f"{name_of(path)} imports {name}"
        for path in FILES
        for name, top in imports(path)
        if top and name.split(".")[0] in HEAVY
    ] == []


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


def shown_otherwise(path: Path) -> set[str]:
    """The functions that show text and that a file calls without need."""
    calls = (node.func for node in nodes_of(path) if isinstance(node, ast.Call))
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    own = {node.name for node in nodes_of(path) if isinstance(node, ast.FunctionDef)}
    imported = {"fail", "write_line"} if "pytest_perfguard.plugin.output" in dict(imports(path)) else set()
    return (names & SHOWING) - own - imported - SHOWN_SAFELY.get(name_of(path), set())


def test_text_is_shown_in_one_way():
    """What a test, a file or a worker wrote passes `text.printable` before anybody sees it."""
    assert {name_of(path): shown for path in FILES if (shown := shown_otherwise(path))} == {}


def test_files_hold_one_thought():
    """Most files have 100 to 400 lines; one that outgrows 500 holds more than one thought."""
    lines = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: count for name, count in lines.items() if count > 500} == {}


#: Mentions of `Any` in each wing: values of any type that users' code makes and gets back. The numbers may only go down.
MAX_ANY = {"core": 1, "engine": 0, "tools": 149, "compat": 4, "plugin": 3, "cli": 0}


@pytest.mark.parametrize("wing", MAX_ANY)
def test_any_is_rare(wing):
    """`object`, type variables, protocols and `JsonValue` name what a value is; `Any` switches the type checker off."""
    files = (path for path in FILES if wing_of(path) == wing)
    found = sum(isinstance(node, ast.Name) and node.id == "Any" for path in files for node in nodes_of(path))
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
        "print('REWRITTEN', sorted(name for name, module in sys.modules.items() if name.startswith('pytest_perfguard')"
        " and type(module.__loader__).__module__.startswith('_pytest.')));"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=pytester.path, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    loaded, _, rewritten = done.stdout.partition("LOADED ")[2].partition("REWRITTEN ")
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
        "plugin.plain_imports",
        "plugin.pytest_internals",
    }
    assert ast.literal_eval(loaded) == sorted(["pytest_perfguard", *(f"pytest_perfguard.{name}" for name in modules)])
    # pytest's import hook would double the cost of the others.
    at_the_door = {"pytest_perfguard", "pytest_perfguard.plugin", "pytest_perfguard.plugin.plain_imports"}
    assert at_the_door.issuperset(ast.literal_eval(rewritten))
