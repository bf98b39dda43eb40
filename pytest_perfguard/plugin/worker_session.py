"""Measuring process: a pytest session that collects the requested tests and serves its controller instead of running them."""

from __future__ import annotations

import contextlib
import functools
import gc
import platform
import shutil
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.core.measurement_points import CallOnce, PointServer, SpeedClaim
from pytest_perfguard.engine.instructions.instrument import stop_callgrind
from pytest_perfguard.engine.leaks.results import LeakReport
from pytest_perfguard.engine.measure.affinity import CpuAffinity
from pytest_perfguard.engine.measure.isolation import isolate, stop_with_parent, unfreeze_heap, unusual_conditions
from pytest_perfguard.engine.measure.suppress import Destinations, RunnerCapture, suppress_capture
from pytest_perfguard.engine.measure.tracers import pause_tracers
from pytest_perfguard.engine.runner.protocol import (
    FinishedTest,
    Hello,
    LeakCheckResult,
    Link,
    Ready,
    RecheckLeaks,
    ServeTest,
    Shutdown,
)
from pytest_perfguard.engine.runner.worker import PipeLink, WorkerSession
from pytest_perfguard.plugin.benchmark.options import BENCHMARK_FIXTURES
from pytest_perfguard.plugin.capture import PYTEST_CAPTURE, error_summary
from pytest_perfguard.plugin.collection import find_tests
from pytest_perfguard.plugin.fixtures import unexamined
from pytest_perfguard.plugin.functional_run import is_strict_xpass
from pytest_perfguard.plugin.leak_setups import LiveFixtures, SetUps
from pytest_perfguard.plugin.options import marker_keywords
from pytest_perfguard.plugin.pytest_internals import (
    failures_ignored,
    ignore_failing_finish,
    run_test,
    same_test_next,
    shared_teardown_ignored,
    tear_down,
)
from pytest_perfguard.plugin.stash import COUNTERS, FRESHLY_IMPORTED, MEASURER, MONITOR
from pytest_perfguard.plugin.worker_plugins import mute_reports, restrict_plugins
from pytest_perfguard.plugin.wrapping import wrapped_function

if TYPE_CHECKING:
    from pytest_perfguard.tools.monitor.monitor import PerformanceMonitor

#: Fixtures by which a test may have only a part of itself measured.
_POINT_FIXTURES: Final = frozenset(("perf_monitor", *BENCHMARK_FIXTURES))
_NAME: Final = "perfguard-child"
#: Tests served between two collections of frozen objects that have become garbage.
THAW_INTERVAL: Final = 25


def register(config: pytest.Config) -> None:
    """Connect to the controller and take control of this session."""
    link = PipeLink(config.option.perf_child)
    hello = link.receive()
    if not isinstance(hello, Hello):
        raise ProtocolError(f"expected Hello from the controller, got {hello!r}")
    stop_with_parent()
    config.option.basetemp = hello.folder  # pytest's own numbered folders would displace those of the user's runs
    config.add_cleanup(
        functools.partial(shutil.rmtree, hello.folder, ignore_errors=True)
    )  # the controller may have died
    config.stash[MEASURER] = session = MeasuringSession(config, link, hello)
    config.pluginmanager.register(session, _NAME)


class MeasuringSession:
    """Hooks of a measuring process."""

    def __init__(self, config: pytest.Config, link: PipeLink, hello: Hello) -> None:
        self._config = config
        self._link = link
        self._hello = hello
        self._affinity = CpuAffinity()
        self._files = {Path(file) for file in hello.files}
        self._served = 0
        self._problems: list[str] = []
        self._reported_modules: set[str] = set()
        self._reports: list[pytest.TestReport] = []
        self._collected: list[pytest.Item] = []
        self._items: dict[str, pytest.Item] = {}
        self._worker: WorkerSession | None = None
        self._interferences: list[str] = []
        self._destinations = Destinations.now()
        self._fixtures = LiveFixtures()
        config.pluginmanager.register(self._fixtures, "perfguard-fixtures")

    # Measurement points of `perf_monitor` and `benchmark`; outside of a measured test, such as in a fixture, called once.

    def measure(self, call: Callable[[], object], label: str, setup: Callable[[], object] | None = None) -> object:
        return self._server.measure(call, label, setup)

    async def measure_async(
        self, call: Callable[[], Awaitable[object]], label: str, setup: Callable[[], object] | None = None
    ) -> object:
        return await self._server.measure_async(call, label, setup)

    @property
    def last_rounds(self) -> Sequence[float]:
        """Rounds of the running test's latest measurement, in seconds per call."""
        return self._worker.last_rounds if self._worker is not None else ()

    def measure_claim(self, call: Callable[[], object], rival: Callable[[], object], claim: SpeedClaim) -> None:
        self._server.measure_claim(call, rival, claim)

    async def measure_claim_async(
        self, call: Callable[[], Awaitable[object]], rival: Callable[[], Awaitable[object]], claim: SpeedClaim
    ) -> None:
        await self._server.measure_claim_async(call, rival, claim)

    @property
    def _server(self) -> PointServer:
        return self._worker if self._worker is not None else CallOnce()

    @property
    def _monitor(self) -> PerformanceMonitor | None:
        return self._config.stash.get(MONITOR, None)

    def pytest_sessionstart(self) -> None:
        manager = self._config.pluginmanager
        restrict_plugins(manager)
        manager.unregister(self)  # so that it runs tests: hooks of the plugin that was registered last are called first
        manager.register(self, _NAME)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Skip files without requested tests, except paths on the command line, whose absence is an error of pytest."""
        if self._config.getoption("pyargs", False):
            return None
        kept = (*self._files, *self._named_paths)
        needed = any(path.is_relative_to(collection_path) for path in kept)
        return None if needed or collection_path.name in ("conftest.py", "__init__.py") else True

    @functools.cached_property
    def _named_paths(self) -> list[Path]:
        folder = self._config.invocation_params.dir
        return [folder / argument.partition("::")[0] for argument in self._config.args]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        # Before other hooks: a plugin that selects tests by their number would count fewer tests here.
        self._collected = list(items)
        return (yield)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._problems.append(f"{report.nodeid}: {report.longreprtext[-2000:]}")
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            self._problems.append(f"{report.nodeid}: {reason[-2000:]}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        # The items after all collection hooks, then those that hooks left out.
        self._items, tests = find_tests(self._hello, [*session.items, *self._collected])
        session.items[:] = self._items.values()
        found, notes, python = list(self._items), list(unusual_conditions()), platform.python_version()
        pins = self._affinity.is_supported
        mute_reports(self._config.pluginmanager)
        known = (found, self._problems, notes, gc.isenabled(), pins, python, self._new_modules())
        self._link.send(Ready(*known, tests.mismatches, tests.other_ids))
        for request in iter(self._link.receive, Shutdown()):
            if isinstance(request, RecheckLeaks):
                self._link.send(LeakCheckResult(self._recheck(request)))
                continue
            if not isinstance(request, ServeTest):
                raise ProtocolError(f"expected ServeTest or Shutdown between two tests, got {request!r}")
            problem = self._serve(request)
            freshly = self._config.stash.setdefault(FRESHLY_IMPORTED, {})
            files = {name: origin for name, origin in freshly.items() if Path(origin).is_absolute()}
            self._link.send(FinishedTest(problem, self._new_modules() | files, sorted(freshly), self._interferences))
            freshly.clear()
        stop_callgrind()
        return True

    def _new_modules(self) -> dict[str, str]:
        """Return the files of modules imported since the last call, by module."""
        files = {
            name: file
            for name, module in list(sys.modules.items())
            if name not in self._reported_modules and isinstance(file := getattr(module, "__file__", None), str)
        }
        self._reported_modules.update(files)
        return files

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> None:
        if fixturedef.scope != "function":
            ignore_failing_finish(fixturedef)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        if self._worker is None or not isinstance(item, pytest.Function):
            return (yield)
        # A test with one of these fixtures runs once first: if it measures a part of itself, that part is the point.
        whole = _WholeTest(self._worker, in_parts=not _POINT_FIXTURES.isdisjoint(item.fixturenames))
        with wrapped_function(item, whole.measure, whole.measure_async):
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run the test without logging reports: as a hook, so that warning filters apply as in the functional run."""
        self._destinations = Destinations.now()
        with shared_teardown_ignored(item):  # the functional run reports that failure
            self._reports = run_test(item, nextitem)
        return True

    def _serve(self, request: ServeTest) -> str | None:
        """Run one test with its measurement points; return the failure, or None."""
        item = self._items[request.nodeid]
        again = request.next_nodeid == request.nodeid
        following = same_test_next(item) if again else self._items.get(request.next_nodeid)
        problem = self._run(item, following, self._link)
        self._served += 1
        if self._served % THAW_INTERVAL == 0:
            unfreeze_heap()
        if problem is not None and again:  # it will not be served again, so no fixture may stay set up
            with failures_ignored():
                tear_down(item, None)
        return problem

    def _run(
        self,
        item: pytest.Item,
        following: pytest.Item | None,
        link: Link,
        isolation: Callable[..., contextlib.AbstractContextManager[None]] = isolate,
    ) -> str | None:
        """Set up one test, serve its measurement points over the link, tear it down; return the failure, or None."""
        setup = (marker_keywords(item) or {}).get("setup")
        self._worker = WorkerSession(
            link,
            setup if callable(setup) else None,
            self._affinity,
            counters=lambda: self._config.stash.get(COUNTERS, {}),
            distributions=lambda: monitor.histograms() if (monitor := self._monitor) else (),
            forget=self._forget,
            fixtures=self._fixtures.owners,
            isolation=lambda: isolation(capture=PYTEST_CAPTURE, **self._unexamined(item)),
        )
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        finally:
            self._interferences = list(self._worker.interferences)
            self._worker = None
        reports, self._reports = self._reports, []
        problems = [_problem(report) for report in reports if not (report.passed or is_strict_xpass(report))]
        return problems[0] if problems else None

    def _unexamined(self, item: pytest.Item) -> dict[str, bool]:
        """Return what may be dropped at a point: not what a fixture or the test has redirected to read it."""
        dropped, now = unexamined(getattr(item, "fixturenames", ())), Destinations.now()
        dropped["output"] &= now.output == self._destinations.output
        dropped["shown_warnings"] &= now.warnings == self._destinations.warnings
        return dropped

    def _forget(self) -> None:
        if (monitor := self._monitor) is not None:
            monitor.forget()

    def _recheck(self, request: RecheckLeaks) -> LeakReport:
        """Check one test for leaks that outlive its set-up, by setting it up repeatedly."""
        item = self._items[request.nodeid]
        unfreeze_heap()

        def run(link: Link) -> str | None:
            problem = self._run(item, same_test_next(item), link, _unfrozen)
            return None if problem is None else error_summary(problem)

        set_ups = SetUps(
            request, item, self._fixtures, run,
            counters=lambda: self._config.stash.get(COUNTERS, {}), forget=self._forget,
        )  # fmt: skip
        found = set_ups.check()
        # The functional run reports a shared fixture whose teardown fails.
        with failures_ignored():
            tear_down(item, self._items.get(request.next_nodeid))
        return found


@contextlib.contextmanager
def _unfrozen(*, capture: RunnerCapture, **dropped: bool) -> Iterator[None]:
    """Isolate as `isolate` does, without freezing the objects: those of a set-up must be collected after its teardown."""
    with suppress_capture(capture=capture, **dropped), pause_tracers():
        yield


class _WholeTest:
    """The whole test function as a measurement point, unless it measures parts of itself."""

    def __init__(self, worker: WorkerSession, *, in_parts: bool) -> None:
        self._worker = worker
        self._in_parts = in_parts

    def measure(self, call: Callable[[], object]) -> object:
        if self._in_parts:
            result = call()
            if self._worker.points:
                return result
        return self._worker.measure(call, "")

    async def measure_async(self, call: Callable[[], Awaitable[object]]) -> object:
        if self._in_parts:
            result = await call()
            if self._worker.points:
                return result
        return await self._worker.measure_async(call, "")


def _problem(report: pytest.TestReport) -> str:
    if report.skipped:
        return f"skipped in {report.when}: {report.longrepr!s:.300}"
    return f"{report.when}: {report.longreprtext[-2000:]}"
