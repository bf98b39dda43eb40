"""Measure the import of a module in fresh interpreters with compiled bytecode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import IO, Any, Final

from pytest_perfguard.core.timing import Timing
from pytest_perfguard.core.tool_errors import ImportBudgetError
from pytest_perfguard.tools.startup.import_budget import ImportBudget, ImportReport, violations
from pytest_perfguard.tools.startup.import_tree import parse_importtime

#: Interpreters that must all exceed a budget of time: interference only lengthens an import.
TRIES: Final = 15
#: Seconds after which an import counts as hung.
LIMIT: Final = 120.0

#: Runs in the fresh interpreter. The result goes to a file, since modules may print. `time` is loaded there already.
_PROGRAM: Final = """
import sys
from time import perf_counter_ns, process_time_ns
module, answer, path, trees = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
if path:
    sys.path[:] = path.split("\\n")
del sys.argv[1:]
before = set(sys.modules)
if trees:  # the interpreter's report has no line for modules imported by this function
    import importlib
    original = importlib.import_module
    def import_module(name, package=None):
        if name.startswith("."):
            return original(name, package)
        __import__(name)
        return sys.modules[name]
    importlib.import_module = import_module
stderr = sys.stderr
print("perfguard begins", file=stderr, flush=True)
cpu_ns = process_time_ns()
wall_ns = perf_counter_ns()
__import__(module)
wall_ns = perf_counter_ns() - wall_ns
cpu_ns = process_time_ns() - cpu_ns
print("\\nperfguard ends", file=stderr, flush=True)
loaded = {name: module for name, module in list(sys.modules.items()) if name not in before and module is not None}
import json, os
origins, sizes = {}, {}
for name, module in loaded.items():
    try:
        spec = module.__spec__
        origins[name] = str(spec.origin or "")
        for file in (spec.cached, spec.origin):
            if isinstance(file, str) and os.path.isfile(file):
                sizes[file] = os.stat(file).st_size
                break
    except Exception:
        origins.setdefault(name, "")
with open(answer, "w") as file:
    json.dump([wall_ns, cpu_ns, sum(sizes.values()), origins, sorted(before)], file)
os._exit(0)
"""


class FreshImport:
    """Imports a module in a fresh interpreter each time it is called; the import alone is timed, not the interpreter's start.

    Parameters
    ----------
    module
        its full name.
    isolated
        start the interpreter with `-I` and its own import path: installed packages only, without the environment's PYTHON...
        variables and the user's site-packages.
    """

    def __init__(self, module: str, *, isolated: bool = False) -> None:
        if not all(part.isidentifier() for part in module.split(".")):
            raise ValueError(f"{module!r} is not the name of a module")
        self.module = module
        self._isolated = isolated
        self.origins: dict[str, str] = {}
        """Origins of the modules that the last import loaded, by name; "" and the like for those without a file."""

    def __call__(self) -> ImportReport:
        """Import it once.

        Raises
        ------
        ImportError
            if it cannot be imported; with the output of the interpreter.
        """
        return self._report(trees=False)

    def time_itself(self, iterations: int) -> tuple[Timing, object]:
        """Return the time of several imports, without the interpreters around them, and the last result: for a measuring loop."""
        reports = [self() for _ in range(iterations)]
        wall_ns = sum(round(report.seconds * 1e9) for report in reports)
        cpu_ns = sum(round(report.cpu_seconds * 1e9) for report in reports)
        return Timing(wall_ns, cpu_ns, cpu_includes_children=True), reports[-1]

    def with_trees(self) -> ImportReport:
        """Import it once and record the tree of imports, which makes the times a little longer."""
        return self._report(trees=True)

    def _report(self, *, trees: bool) -> ImportReport:
        output, answer = self._run(trees)
        wall_ns, cpu_ns, size, origins, bare = answer
        self.origins = origins
        text = output.partition("perfguard begins\n")[2].partition("\nperfguard ends\n")[0]
        found = parse_importtime(text) if trees else ()
        modules = tuple(sorted(origins))
        return ImportReport(self.module, wall_ns / 1e9, cpu_ns / 1e9, modules, size, found, tuple(bare))

    def _run(self, trees: bool) -> tuple[str, list[Any]]:
        # Files, not pipes: processes that the module starts may keep pipes open, and fill them.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as answer:
            self._start_and_wait(trees, output, answer)
            output.seek(0)
            answer.seek(0)
            return output.read().decode(errors="replace"), json.load(answer)

    def _start_and_wait(self, trees: bool, output: IO[bytes], answer: IO[bytes]) -> None:
        flags = [*(["-I"] if self._isolated else []), *(["-X", "importtime"] if trees else [])]
        path = "" if self._isolated else "\n".join(entry for entry in sys.path if isinstance(entry, str))
        words = [self.module, str(answer.fileno()), path, "trees" if trees else ""]
        process = subprocess.Popen(
            [sys.executable, *flags, "-c", _PROGRAM, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output,
            pass_fds=(answer.fileno(),), env=_environment(),
        )  # fmt: skip
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise ImportError(f"import {self.module}: not done within {LIMIT:.0f} s", name=self.module) from None
        finally:
            if process.poll() is None:  # after a timeout of the test, or the one above
                process.kill()
                process.wait()
        if not answer.seek(0, os.SEEK_END):
            output.seek(0)
            text = output.read().decode(errors="replace").partition("perfguard begins\n")[2]
            last = "\n".join(line for line in text.splitlines()[-20:] if not line.startswith("import time:"))
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise ImportError(f"import {self.module} ended a fresh interpreter ({how}):\n{last}", name=self.module)


def import_report(module: str, *, isolated: bool = False) -> ImportReport:
    """Return the modules that an import loads, its costs, and the tree of imports, from fresh interpreters.

    The module is imported twice: the first time compiles it if necessary.

    Raises
    ------
    ImportError
    """
    fresh = FreshImport(module, isolated=isolated)
    return _joined(fresh(), fresh.with_trees())


def check_import(fresh: FreshImport, budget: ImportBudget) -> ImportReport:
    """Check an import against its budget, and return the modules that it loads and its costs.

    A budget of time is exceeded if none of 15 fresh interpreters keeps it.

    Raises
    ------
    ImportBudgetError
        names each exceeded budget, and the chain of imports that leads to a forbidden module.
    ImportError
    """
    plain, missing = fresh(), _not_there(budget)  # the first import compiles
    reports = [_joined(plain, fresh.with_trees())]
    while problems := [*violations(budget, reports), *missing]:
        if not budget.is_timed or len(reports) == TRIES or missing or violations(_untimed(budget), reports):
            raise ImportBudgetError(fresh.module, problems)
        reports.append(_joined(plain, fresh.with_trees()))
    return reports[-1]


def _joined(plain: ImportReport, with_trees: ImportReport) -> ImportReport:
    """Combine the tree of one import with the modules and bytes of another, which was made without a tree."""
    return replace(with_trees, modules=plain.modules, code_bytes=plain.code_bytes, bare=plain.bare)


def _untimed(budget: ImportBudget) -> ImportBudget:
    """Return the part of a budget that does not depend on time."""
    groups = {name: replace(group, max_time=None) for name, group in (budget.groups or {}).items()}
    return replace(budget, max_time=None, groups=groups)


def _not_there(budget: ImportBudget) -> list[str]:
    from importlib.util import find_spec

    # Of a submodule only its package is searched: a search for more would import that package.
    tops = {package: package.partition(".")[0] for package in budget.lazy}
    missing = [package for package, top in tops.items() if top not in sys.modules and find_spec(top) is None]
    return [f"{package} is to be loaded on first use, and is not installed" for package in missing]


def _environment() -> dict[str, str]:
    """Return the environment without the variable that prevents compiled bytecode from being kept."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
