"""Benchmarks outside of perf modes: the strategy for each test, the default hooks, and the table at the end of the run.

Created when the first test requests the fixture, or when an option needs it.
"""

from __future__ import annotations

import datetime
import inspect
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial

import pytest

from pytest_perfguard.compat.cprofile import table_lines as profile_lines
from pytest_perfguard.compat.exchange import benchmark_json
from pytest_perfguard.compat.fixture import BenchmarkedTest, BenchmarkFixture
from pytest_perfguard.compat.grouping import Group, Row, grouped, scale_of
from pytest_perfguard.compat.options import BenchmarkOptions, with_marker
from pytest_perfguard.compat.parsed_options import ParsedOptions, parse_options
from pytest_perfguard.compat.result import BenchmarkResult
from pytest_perfguard.compat.storage import commit_info, machine_info
from pytest_perfguard.compat.strategies import Delegated, Disabled, InProcess, RunOnce, Strategy
from pytest_perfguard.compat.table import table_lines
from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.model import Comparison
from pytest_perfguard.plugin.benchmark import benchmark_marker, has_fixture, is_benchmark
from pytest_perfguard.plugin.benchmark.options import IGNORED, flag_of, given_options, option_values
from pytest_perfguard.plugin.benchmark.saved_runs import BenchmarkFiles, Notes, SavedRuns
from pytest_perfguard.plugin.options import chosen_mode, run_settings
from pytest_perfguard.plugin.output import fail, usage_error, write_line, write_section, write_text
from pytest_perfguard.plugin.pytest_internals import worker_output
from pytest_perfguard.plugin.stash import BENCHMARKS, MEASURER
from pytest_perfguard.plugin.wrapping import wrapped_function


class BenchmarkWarning(pytest.PytestWarning):
    """Warning about a benchmark that probably does not measure what its author meant."""


def session_of(config: pytest.Config) -> BenchmarkSession:
    """Return the run's session; the first call creates it."""
    if BENCHMARKS not in config.stash:
        session = config.stash[BENCHMARKS] = BenchmarkSession(config, _parsed_options(config))
        config.pluginmanager.register(DefaultHooks(session.options.time_unit), "perfguard-benchmark-defaults")
        config.pluginmanager.register(session, "perfguard-benchmarks")
        session.saved.load(session)
    return config.stash[BENCHMARKS]


class BenchmarkSession:
    """Creates the fixtures, and prints and saves their results."""

    def __init__(self, config: pytest.Config, options: ParsedOptions) -> None:
        self.config = config
        self.options = options
        self.notes = self.logger = Notes()
        self.files = BenchmarkFiles(config, options, self.notes)
        self.saved = SavedRuns(config, options, self.files)
        self.benchmarks: list[BenchmarkResult] = []
        self._fixtures: dict[pytest.Item, BenchmarkFixture] = {}
        self._groups: Sequence[Group] = []
        self._called_once = 0
        """Benchmarks that were called once and not timed because of xdist."""
        self._is_worker = hasattr(config, "workerinput")
        self._distributed = self._is_worker or config.getoption("dist", "no") != "no"
        self._mode = chosen_mode(config)
        self._once = run_settings(config).benchmark == "once" and not options.enabled
        for option in given_options(config):
            if option.name in IGNORED:
                self.notes.warning(f"{flag_of(option)} is accepted and has no effect here")
        if options.measuring.cprofile and self._mode:
            self.notes.warning("--benchmark-cprofile has no effect in perf modes; --perf-explain profiles there")

    def fixture(self, request: pytest.FixtureRequest, *, passes_arguments: bool) -> Iterator[BenchmarkFixture]:
        """Yield the fixture of a test, and close it when the test has ended."""
        if self.options.skip:
            pytest.skip("benchmarks are skipped (--benchmark-skip)")
        fixture = self._create(request.node, passes_arguments=passes_arguments)
        yield fixture
        fixture.close()
        self._fixtures.pop(request.node, None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if self.options.codspeed:
            left_out = [item for item in items if not is_benchmark(item)]
            items[:] = [item for item in items if is_benchmark(item)]
            if left_out:
                config.hook.pytest_deselected(items=left_out)
        for item in items:
            if self.options.skip and has_fixture(item):
                item.add_marker(pytest.mark.skip(reason="benchmarks are skipped (--benchmark-skip)"))
            elif self.options.only and not is_benchmark(item):
                item.add_marker(pytest.mark.skip(reason="only benchmarks are run (--benchmark-only)"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        if isinstance(item, pytest.Function) and self._is_measured_whole(item):
            fixture = self._create(item, passes_arguments=False)
            with wrapped_function(item, fixture, fixture):
                result = yield
        else:
            result = yield
        if (problem := self._problem(item)) is not None:
            fail(problem)
        return result

    def save_measured(self, comparisons: Sequence[Comparison]) -> None:
        """Write the results of the measuring processes of a perf mode to the files that `--benchmark-json`, `--benchmark-save` and
        `--benchmark-autosave` request."""
        self.files.save_measured(comparisons)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._is_worker:
            worker_output(self.config)["perfguard_benchmarks"] = self._called_once
            return
        if MEASURER in self.config.stash:
            return
        if self._mode:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR if self.files.problem else session.exitstatus
            return
        self.files.save(self.benchmarks)
        rows = self.saved.rows(self.benchmarks)
        if rows:
            group_stats = self.config.hook.pytest_benchmark_group_stats
            self._groups = group_stats(config=self.config, benchmarks=rows, group_by=self.options.group_by)
            self.files.draw(self._groups)
        self.files.dump_profiles(self.benchmarks)
        if self.files.problem:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif self.saved.nothing_compared() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        options = self.options
        if self._groups and not options.quiet:
            write_section(terminalreporter, "benchmarks")
            scale = partial(self.config.hook.pytest_benchmark_scale_unit, config=self.config)
            lines = table_lines(
                self._groups, columns=options.columns, sort=options.sort, name=options.name, scale=scale
            )  # fmt: skip
            for line in lines:
                write_line(terminalreporter, line)
        profiles = [(each.fullname, each.cprofile_stats) for each in self.benchmarks if each.cprofile_stats is not None]
        if profiles and not options.quiet:
            for line in profile_lines(profiles, options.measuring.cprofile_column, options.cprofile_top):
                write_line(terminalreporter, line)
        for text, is_error in self.notes.lines():
            write_text(terminalreporter, f"perfguard: {text}", yellow=not is_error, red=is_error)

    def _create(self, item: pytest.Item, *, passes_arguments: bool) -> BenchmarkFixture:
        options = self._options_of(item)
        callspec = getattr(item, "callspec", None)
        parameters = (callspec.id, callspec.params) if callspec else ()
        fixture = self._fixtures[item] = BenchmarkFixture(
            BenchmarkedTest(item.name, item.nodeid, *parameters),
            self._strategy(options),
            group=options.group,
            in_loop=partial(_runs_in_a_loop, item),
            passes_arguments=passes_arguments,
        )
        return fixture

    def _options_of(self, item: pytest.Item) -> BenchmarkOptions:
        marker = benchmark_marker(item)
        if marker is None:
            return self.options.measuring
        try:
            place = f"marker {marker.name} of {item.nodeid}"
            return with_marker(self.options.measuring, marker.kwargs, marker.args, place)
        except SettingError as error:
            raise usage_error(error) from None

    def _strategy(self, options: BenchmarkOptions) -> Strategy:
        measurer = self.config.stash.get(MEASURER, None)
        if measurer is not None:
            return Delegated(options, measurer)
        if self.options.disabled:
            return Disabled()
        if self._mode or self._once:
            return RunOnce(options)
        if self._distributed:
            self._called_once += 1
            return Disabled()
        return InProcess(options, self.benchmarks.append)

    def _is_measured_whole(self, item: pytest.Item) -> bool:
        """Return whether this is a marked test without the fixture that an option has measured as a whole."""
        if not (self.options.codspeed or self.options.only) or self._mode or MEASURER in self.config.stash:
            return False
        return is_benchmark(item) and not has_fixture(item)

    def _problem(self, item: pytest.Item) -> str | None:
        """Return the reason why a test whose body passed fails, or None; warn if it did not use its fixture."""
        fixture = self._fixtures.get(item)
        if fixture is None:
            return None
        if fixture.pending is not None:
            return (
                f"{fixture.used} of a coroutine function was never awaited, so nothing was measured: "
                f"write await {fixture.used}"
            )
        if not fixture.used:
            item.warn(BenchmarkWarning("the fixture benchmark was not used in this test"))
        return self.saved.exceeded(fixture.stats) if fixture.enabled and fixture.stats else None


class DefaultHooks:
    """pytest-benchmark's hooks as it implements them itself. A conftest's come first, and may be wrappers around these."""

    def __init__(self, time_unit: str | None) -> None:
        self._time_unit = time_unit

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_scale_unit(
        self, unit: str, best: dict[str, float], worst: dict[str, float], sort: str
    ) -> tuple[str, float]:
        return scale_of(unit, best, worst, sort, self._time_unit)

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_generate_machine_info(self) -> dict[str, object]:
        return machine_info()

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_generate_commit_info(self, config: pytest.Config) -> dict[str, object]:
        return commit_info(config.rootpath)

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_group_stats(self, benchmarks: list[Row], group_by: str) -> list[Group]:
        return grouped(benchmarks, group_by)

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_generate_json(
        self,
        benchmarks: Iterable[BenchmarkResult],
        include_data: bool,
        machine_info: dict[str, object],
        commit_info: dict[str, object],
    ) -> dict[str, object]:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        results = [one.as_dict(include_data=include_data) for one in benchmarks if one and not one.has_error]
        return benchmark_json(results, machine_info, commit_info, now)

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_compare_machine_info(
        self, benchmarksession: BenchmarkSession, machine_info: dict[str, object], compared_benchmark: dict[str, object]
    ) -> None:
        saved = compared_benchmark.get("machine_info")
        if saved != machine_info:
            before = saved if isinstance(saved, dict) else {}
            differing = [name for name in machine_info if before.get(name) != machine_info[name]]
            benchmarksession.logger.warning(
                f"the saved run is from another machine or interpreter ({', '.join(differing)}), so its times are not comparable"
            )


def _parsed_options(config: pytest.Config) -> ParsedOptions:
    def path_like(text: str) -> bool:
        path = config.invocation_params.dir / text.partition("::")[0]
        return "::" in text or path.is_dir() or (path.suffix == ".py" and path.exists())

    try:
        return parse_options(option_values(config), path_like=path_like)
    except SettingError as error:
        raise usage_error(error) from None


def _runs_in_a_loop(item: pytest.Item) -> bool:
    """Return whether the test can await: it runs in asyncio's loop, or is a coroutine function that another loop runs."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return True
    return inspect.iscoroutinefunction(getattr(item, "obj", None))
