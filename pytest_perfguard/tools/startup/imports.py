"""What importing a module costs, measured in fresh interpreters with compiled bytecode."""

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

#: Interpreters that are asked before a budget of time counts as passed: interference only lengthens an import.
TRIES: Final = 15
#: Seconds after which an import counts as hung.
LIMIT: Final = 120.0

#: Runs in the fresh interpreter, and answers in a file, since what is imported may print. `time` is loaded already there.
_PROGRAM: Final = """
import sys
from time import perf_counter_ns, process_time_ns
module, answer, path, trees = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
if path:
    sys.path[:] = path.split("\\n")
del sys.argv[1:]
before = set(sys.modules)
if trees:  # the interpreter's report has no line for what comes by this function
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
        start the interpreter with `-I`, and with its own import path: what is installed, without the environment's PYTHON...
        variables and the user's site-packages.
    """

    def __init__(self, module: str, *, isolated: bool = False) -> None:
        if not all(part.isidentifier() for part in module.split(".")):
            raise ValueError(f"{module!r} is no name of a module")
        self.module = module
        self._isolated = isolated
        self.origins: dict[str, str] = {}
        """Where the modules came from that it loaded last, by name; "" and the like where no file did."""

    def __call__(self) -> ImportReport:
        """Import it once.

        Raises
        ------
        ImportError
            it cannot be imported; with what the interpreter said.
        """
        return self._report(trees=False)

    def time_itself(self, iterations: int) -> tuple[Timing, object]:
        """For a measuring loop: the time of so many imports, without that of the interpreters around them."""
        reports = [self() for _ in range(iterations)]
        wall_ns = sum(round(report.seconds * 1e9) for report in reports)
        cpu_ns = sum(round(report.cpu_seconds * 1e9) for report in reports)
        return Timing(wall_ns, cpu_ns, cpu_includes_children=True), reports[-1]

    def with_trees(self) -> ImportReport:
        """Import it once and tell who imported whom; the times are a little longer than they are otherwise."""
        return self._report(trees=True)

    def _report(self, *, trees: bool) -> ImportReport:
        said, answer = self._run(trees)
        wall_ns, cpu_ns, size, origins, bare = answer
        self.origins = origins
        text = said.partition("perfguard begins\n")[2].partition("\nperfguard ends\n")[0]
        found = parse_importtime(text) if trees else ()
        modules = tuple(sorted(origins))
        return ImportReport(self.module, wall_ns / 1e9, cpu_ns / 1e9, modules, size, found, tuple(bare))

    def _run(self, trees: bool) -> tuple[str, list[Any]]:
        # Files, not pipes: what the module starts may keep them open, and fill them.
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as answer:
            self._start_and_wait(trees, said, answer)
            said.seek(0)
            answer.seek(0)
            return said.read().decode(errors="replace"), json.load(answer)

    def _start_and_wait(self, trees: bool, said: IO[bytes], answer: IO[bytes]) -> None:
        flags = [*(["-I"] if self._isolated else []), *(["-X", "importtime"] if trees else [])]
        path = "" if self._isolated else "\n".join(entry for entry in sys.path if isinstance(entry, str))
        words = [self.module, str(answer.fileno()), path, "trees" if trees else ""]
        process = subprocess.Popen(
            [sys.executable, *flags, "-c", _PROGRAM, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
            pass_fds=(answer.fileno(),), env=_environment(),
        )  # fmt: skip
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise ImportError(f"import {self.module}: not done within {LIMIT:.0f} s", name=self.module) from None
        finally:
            if process.poll() is None:  # a time limit of the test's, or ours
                process.kill()
                process.wait()
        if not answer.seek(0, os.SEEK_END):
            said.seek(0)
            text = said.read().decode(errors="replace").partition("perfguard begins\n")[2]
            last = "\n".join(line for line in text.splitlines()[-20:] if not line.startswith("import time:"))
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise ImportError(f"import {self.module} ended a fresh interpreter ({how}):\n{last}", name=self.module)


def import_report(module: str, *, isolated: bool = False) -> ImportReport:
    """What importing a module loads and costs, in a fresh interpreter, with the tree of who imported whom.

    The module is imported twice: the first time compiles what is not compiled yet.

    Raises
    ------
    ImportError
    """
    fresh = FreshImport(module, isolated=isolated)
    return _joined(fresh(), fresh.with_trees())


def check_import(fresh: FreshImport, budget: ImportBudget) -> ImportReport:
    """Hold an import to its budget; returns what it loads and costs.

    A budget of time is passed if none of 15 fresh interpreters keeps it.

    Raises
    ------
    ImportBudgetError
        names each budget that was passed, and who imported what should not have been.
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
    """Who imported whom, and what was loaded where nobody asked for that."""
    return replace(with_trees, modules=plain.modules, code_bytes=plain.code_bytes, bare=plain.bare)


def _untimed(budget: ImportBudget) -> ImportBudget:
    """The part of a budget that is the same in every interpreter."""
    groups = {name: replace(group, max_time=None) for name, group in (budget.groups or {}).items()}
    return replace(budget, max_time=None, groups=groups)


def _not_there(budget: ImportBudget) -> list[str]:
    from importlib.util import find_spec

    # Of a submodule only its package is looked for: more would import that.
    tops = {package: package.partition(".")[0] for package in budget.lazy}
    missing = [package for package, top in tops.items() if top not in sys.modules and find_spec(top) is None]
    return [f"{package} is to be loaded on first use, and is not there" for package in missing]


def _environment() -> dict[str, str]:
    """As ours, but for what would keep bytecode from being compiled once and for all."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
