"""The benchmarks of a run outside of perf modes: how each is measured, and the table at the end.

Made when the first test asks for the fixture, or where an option needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from pytest_perfguard.compat.cprofile import table_lines as profile_lines
from pytest_perfguard.compat.fixture import BenchmarkFixture, Named
from pytest_perfguard.compat.options import BenchmarkOptions, with_marker
from pytest_perfguard.compat.parsed_options import ParsedOptions, requested
from pytest_perfguard.compat.result import BenchmarkResult
from pytest_perfguard.compat.strategies import Delegated, Disabled, InProcess, RunOnce, Strategy
from pytest_perfguard.compat.table import table_lines
from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.model import Comparison
from pytest_perfguard.plugin.benchmark.defaults import DefaultHooks
from pytest_perfguard.plugin.benchmark.files import BenchmarkFiles, Notes
from pytest_perfguard.plugin.benchmark.options import IGNORED, flag_of, given_options, option_values
from pytest_perfguard.plugin.benchmark.registration import benchmark_marker, has_fixture, is_benchmark
from pytest_perfguard.plugin.benchmark.runs import BenchmarkRuns
from pytest_perfguard.plugin.options import chosen_mode, run_settings
from pytest_perfguard.plugin.output import fail, usage_error, write_line, write_section, write_text
from pytest_perfguard.plugin.stash import BENCHMARKS, MEASURER
from pytest_perfguard.plugin.wrapping import wrapped_function


class BenchmarkWarning(pytest.PytestWarning):
    """Something about a benchmark is probably not meant."""


def session_of(config: pytest.Config) -> BenchmarkSession:
    """The run's one session, made on first use."""
    if BENCHMARKS not in config.stash:
        session = config.stash[BENCHMARKS] = BenchmarkSession(config, _requested(config))
        config.pluginmanager.register(DefaultHooks(session.requested.time_unit), "perfguard-benchmark-defaults")
        config.pluginmanager.register(session, "perfguard-benchmarks")
        session.runs.load()
    return config.stash[BENCHMARKS]


class BenchmarkSession:
    """Makes the fixtures, and has what they measured shown and saved."""

    def __init__(self, config: pytest.Config, asked: ParsedOptions) -> None:
        self.config = config
        self.requested = asked
        self.notes = self.logger = Notes()
        self.files = BenchmarkFiles(config, asked, self.notes)
        self.runs = BenchmarkRuns(config, asked, self.files, self)
        self.benchmarks: list[BenchmarkResult] = []
        self._fixtures: dict[pytest.Item, BenchmarkFixture] = {}
        self._groups: Any = []
        self._is_worker = hasattr(config, "workerinput")
        self._distributed = self._is_worker or config.getoption("dist", "no") != "no"
        self._mode = chosen_mode(config)
        self._once = run_settings(config).benchmark == "once" and not asked.enabled
        for option in given_options(config):
            if option.name in IGNORED:
                self.notes.warning(f"{flag_of(option)} is accepted and does nothing here")
        if asked.choices.cprofile and self._mode:
            self.notes.warning("--benchmark-cprofile does nothing in perf modes: --perf-explain profiles there")

    def fixture(self, request: pytest.FixtureRequest, *, hands_over: bool) -> Iterator[BenchmarkFixture]:
        """For a generator fixture."""
        if self.requested.skip:
            pytest.skip("benchmarks are skipped (--benchmark-skip)")
        fixture = self._made(request.node, hands_over=hands_over)
        yield fixture
        fixture.close()
        self._fixtures.pop(request.node, None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        asked = self.requested
        if asked.codspeed:
            left_out = [item for item in items if not is_benchmark(item)]
            items[:] = [item for item in items if is_benchmark(item)]
            if left_out:
                config.hook.pytest_deselected(items=left_out)
        for item in items:
            if asked.skip and has_fixture(item):
                item.add_marker(pytest.mark.skip(reason="benchmarks are skipped (--benchmark-skip)"))
            elif asked.only and not is_benchmark(item):
                item.add_marker(pytest.mark.skip(reason="only benchmarks are run (--benchmark-only)"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        if self._is_whole(item):
            fixture = self._made(item, hands_over=False)
            with wrapped_function(item, fixture, fixture):  # type: ignore[arg-type]  # is_benchmark: a function
                result = yield
        else:
            result = yield
        problem = self._problem(item)
        if problem:
            fail(problem)
        return result

    def keep_measured(self, comparisons: Sequence[Comparison]) -> None:
        """In perf modes: what the measuring processes gave is what `--benchmark-json` and the like write."""
        self.files.keep_measured(comparisons)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._is_worker:
            output: dict[str, Any] = self.config.workeroutput  # type: ignore[attr-defined]  # set by xdist
            output["perfguard_benchmarks"] = self.runs.called_once
            return
        if MEASURER in self.config.stash:
            return
        if self._mode:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR if self.files.problem else session.exitstatus
            return
        self.files.keep(self.benchmarks)
        rows = self.runs.rows(self.benchmarks)
        if rows:
            group_stats = self.config.hook.pytest_benchmark_group_stats
            self._groups = group_stats(config=self.config, benchmarks=rows, group_by=self.requested.group_by)
            self.files.draw(self._groups)
        self.files.dump_profiles(self.benchmarks)
        if self.files.problem:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif self.runs.nothing_compared and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        asked = self.requested
        if self._groups and not asked.quiet:
            write_section(terminalreporter, "benchmarks")
            scale = partial(self.config.hook.pytest_benchmark_scale_unit, config=self.config)
            lines = table_lines(
                self._groups, columns=asked.columns, sort=asked.sort, name=asked.name, scale=scale
            )  # fmt: skip
            for line in lines:
                write_line(terminalreporter, line)
        profiles = [(each.fullname, each.cprofile_stats) for each in self.benchmarks if each.cprofile_stats is not None]
        if profiles and not asked.quiet:
            for line in profile_lines(profiles, asked.choices.cprofile_column, asked.cprofile_top):
                write_line(terminalreporter, line)
        for text, bad in self.notes.lines():
            write_text(terminalreporter, f"perfguard: {text}", yellow=not bad, red=bad)

    def _made(self, item: pytest.Item, *, hands_over: bool) -> BenchmarkFixture:
        choices = self._choices(item)
        callspec = getattr(item, "callspec", None)
        test = (
            Named(item.name, item.nodeid, callspec.id, callspec.params) if callspec else Named(item.name, item.nodeid)
        )
        fixture = self._fixtures[item] = BenchmarkFixture(
            test,
            self._way(choices),
            group=choices.group,
            in_loop=partial(_runs_in_a_loop, item),
            hands_over=hands_over,
        )
        return fixture

    def _choices(self, item: pytest.Item) -> BenchmarkOptions:
        marker = benchmark_marker(item)
        if marker is None:
            return self.requested.choices
        try:
            place = f"marker {marker.name} of {item.nodeid}"
            return with_marker(self.requested.choices, marker.kwargs, marker.args, place)
        except SettingError as error:
            raise usage_error(error) from None

    def _way(self, choices: BenchmarkOptions) -> Strategy:
        server: Any = self.config.stash.get(MEASURER, None)
        if server is not None:
            return Delegated(choices, server)
        if self.requested.disabled:
            return Disabled()
        if self._mode or self._once:
            return RunOnce(choices)
        if self._distributed:
            self.runs.called_once += 1
            return Disabled()
        return InProcess(choices, self.benchmarks.append)

    def _is_whole(self, item: pytest.Item) -> bool:
        """Is this a marked test without the fixture, which is measured as a whole?"""
        if not (self.requested.codspeed or self.requested.only) or self._mode or MEASURER in self.config.stash:
            return False
        return is_benchmark(item) and not has_fixture(item)

    def _problem(self, item: pytest.Item) -> str:
        """What is wrong with a test whose body passed; warns of what is doubtful."""
        fixture = self._fixtures.get(item)
        if fixture is None:
            return ""
        if fixture.pending is not None:
            return f"{fixture.used} of a coroutine function was never awaited, so that nothing was measured: write await {fixture.used}"
        if not fixture.used:
            item.warn(BenchmarkWarning("the fixture benchmark was not used in this test"))
        return self.runs.exceeded(fixture.stats) if fixture.enabled and fixture.stats else ""


def _requested(config: pytest.Config) -> ParsedOptions:
    def path_like(text: str) -> bool:
        path = config.invocation_params.dir / text.partition("::")[0]
        return "::" in text or path.is_dir() or (path.suffix == ".py" and path.exists())

    try:
        return requested(option_values(config), path_like=path_like)
    except SettingError as error:
        raise usage_error(error) from None


def _runs_in_a_loop(item: pytest.Item) -> bool:
    """Can the test await? Inside asyncio's loop that is known; another loop runs where the test is a coroutine function."""
    import inspect

    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return True
    return inspect.iscoroutinefunction(getattr(item, "obj", None))
