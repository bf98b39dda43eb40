"""What the fixture `perf_imports` gives: imports in fresh interpreters, held to budgets and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from pytest_perfguard.monitor.monitor import PerformanceMonitor
from pytest_perfguard.plugin.keys import FRESHLY_IMPORTED, MEASURER
from pytest_perfguard.plugin.shown import fail
from pytest_perfguard.startup.import_budget import ImportBudget, ImportGroup, ImportReport
from pytest_perfguard.startup.import_tree import heaviest
from pytest_perfguard.startup.imports import FreshImport, check_import
from pytest_perfguard.tool_errors import ImportBudgetError


class PerfImports:
    """`perf_imports("mypkg", forbid=["scipy"])`: holds an import to its budget, and has it measured in a perf test."""

    def __init__(self, request: pytest.FixtureRequest, monitor: PerformanceMonitor) -> None:
        self._request = request
        self._monitor = monitor

    def __call__(
        self,
        module: str,
        *,
        isolated: bool = False,
        max_time: str | float | None = None,
        max_modules: int | None = None,
        forbid: Sequence[str] = (),
        lazy: Sequence[str] = (),
        groups: Mapping[str, ImportGroup] | None = None,
    ) -> ImportReport:
        """Import a module in fresh interpreters, and return what it loads and costs.

        A budget that is passed fails the test, in every run. In a perf test the import is a measurement point of its own:
        `time:MODULE`, `cpu:MODULE`, the number of modules and the bytes of their code.

        Parameters
        ----------
        isolated
            interpreters with `-I` and their own import path: only what is installed.
        max_time, max_modules
            the most that it may take, at best of 15 interpreters, and load.
        forbid, lazy
            packages that must not be loaded; those that are `lazy` must be there for later.
        groups
            packages that share a budget: `{"vendor": ImportGroup(["numpy"], max_time="80ms")}`.
        """
        config = self._request.config
        server = config.stash.get(MEASURER, None)
        if server is None:
            return self._checked(
                FreshImport(module, isolated=isolated), ImportBudget(max_time, max_modules, forbid, lazy, groups)
            )
        fresh = _Recorded(module, self._monitor, isolated=isolated)
        server.measure(fresh, module)
        report = fresh.with_trees()
        config.stash.setdefault(FRESHLY_IMPORTED, {}).update(fresh.origins)
        return report

    def _checked(self, fresh: FreshImport, budget: ImportBudget) -> ImportReport:
        try:
            report = check_import(fresh, budget)
        except ImportBudgetError as error:
            problem = str(error)
        else:
            problem = ""
        if problem:
            fail(problem)
        # Shown if the test fails, such as by a verdict.
        lines = "\n".join(heaviest(report.trees))
        self._request.node.add_report_section("call", f"import of {fresh.module}, heaviest branches", lines)
        return report


class _Recorded(FreshImport):
    """An import whose number of modules and bytes of code are recorded, too."""

    def __init__(self, module: str, monitor: PerformanceMonitor, *, isolated: bool) -> None:
        super().__init__(module, isolated=isolated)
        self._monitor = monitor

    def __call__(self) -> ImportReport:
        report = super().__call__()
        self._monitor.observe("modules", len(report.modules))
        self._monitor.observe("code_bytes", report.code_bytes)
        return report
