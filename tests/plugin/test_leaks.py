"""Leak checks through the door: in every mode, of every kind of test, and the fixture `memory_watch`."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import last_perf_line
from tests.repository import Repository

LIBRARY = """
HANDLERS = []

def register(size):
    HANDLERS.append(b"x" * size)

def work():
    return sum(range(1000))
"""

TESTS = """
import pytest
from library import register, work

@pytest.mark.perf
def test_clean():
    work()

@pytest.mark.perf
def test_leaking():
    register(1000)
"""

#: The other metrics are not what these tests are about.
QUICK = ("--perf-metrics=time", "--perf-budget=1s")


@pytest.fixture
def leaking(project):
    project.pytester.makepyfile(library=LIBRARY, test_library=TESTS)
    return project


def verdicts(report):
    return {test["nodeid"].partition("::")[2]: test["verdict"] for test in report["tests"]}


def test_a_leak_fails_its_test_and_is_explained(leaking, distribution):
    result, report = leaking.report("--perf", "--perf-leaks", *QUICK, *distribution)
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "This test leaks memory.",
            "  leak.memory 1.0* KB per call  leak",
            "*1.0* KB in 1 block per call at library.py:*  HANDLERS.append(b?x? * size)",
            "*kept by library.HANDLERS: a list of *, 1 more per call",
            "*in each of 2 fresh processes, over * calls in 10 set-ups, each torn down",
            "*measure it again, alone: *pytest --perf --perf-leaks test_library.py::test_leaking",
            "test *time *leaks *verdict",
            "*test_clean *none *measured",
            "*test_leaking *KB *leak",
        ]
    )
    assert "FAILED test_library.py::test_leaking - leak: 1.0" in result.stdout.str()
    assert last_perf_line(result).startswith("perf: 1 leak, 1 measured (2 tests, ")
    assert verdicts(report) == {"test_clean": None, "test_leaking": "leak"}
    (finding,) = [item for item in report["tests"][1]["metrics"] if item["name"] == "leak.memory"]
    assert (finding["verdict"], finding["unit"]) == ("leak", "B")
    assert finding["candidate"] == pytest.approx(1033, rel=0.05)
    assert any("library.HANDLERS" in line for line in finding["details"])
    (clean,) = [item for item in report["tests"][0]["metrics"] if item["name"] == "leak.memory"]
    assert (clean["verdict"], clean["candidate"]) == (None, 0)


@pytest.mark.thorough
def test_the_marker_asks_for_one_test_and_no_baseline_is_needed_for_it(leaking):
    source = TESTS.replace("@pytest.mark.perf\ndef test_leaking", "@pytest.mark.perf(leaks=True)\ndef test_leaking")
    leaking.pytester.makepyfile(test_library=source.replace("def test_clean", "def test_old"))
    assert leaking.run("--perf-baseline", "-k", "old", *QUICK).ret == 0
    leaking.rewrite_baseline()
    leaking.pytester.makepyfile(test_library=source.replace("def test_clean", "def test_old"))
    result, report = leaking.report("--perf-compare", "--perf-threshold=900%", *QUICK)
    assert result.ret == 1
    assert verdicts(report) == {"test_old": "unchanged", "test_leaking": "leak"}


@pytest.mark.thorough
def test_leaks_are_judged_beside_a_revision(leaking):
    repository = Repository(leaking.path)
    repository.commit()
    (leaking.path / "library.py").write_text(LIBRARY.replace("HANDLERS.append(", "len("))
    result, report = leaking.report("--perf-against=HEAD", "--perf-leaks", "--perf-threshold=900%", *QUICK)
    assert result.ret == 0
    assert "leak" not in verdicts(report).values()
    repository.commit()
    (leaking.path / "library.py").write_text(LIBRARY)
    result, report = leaking.report("--perf-against=HEAD", "--perf-leaks", "--perf-threshold=900%", *QUICK)
    assert result.ret == 1
    assert verdicts(report)["test_leaking"] == "leak"
    assert verdicts(report)["test_clean"] != "leak"


@pytest.mark.thorough
@pytest.mark.plugins("anyio", "asyncio")
def test_async_and_threaded_tests_and_measurement_points(project):
    project.pytester.makepyfile(
        library=LIBRARY,
        test_kinds="""
        import asyncio, threading
        import pytest
        from library import register, work

        @pytest.mark.perf
        @pytest.mark.asyncio
        async def test_async_leaking():
            await asyncio.sleep(0)
            register(1000)

        @pytest.mark.perf
        @pytest.mark.asyncio
        async def test_async_clean():
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(3)))

        @pytest.mark.perf
        @pytest.mark.asyncio
        async def test_task():
            asyncio.ensure_future(asyncio.sleep(1000))

        @pytest.mark.perf
        @pytest.mark.anyio
        async def test_anyio_leaking(anyio_backend_name):
            register(1000)

        @pytest.mark.perf
        def test_thread():
            thread = threading.Thread(target=register, args=(1000,))
            thread.start()
            thread.join()

        @pytest.mark.perf
        def test_point(perf_monitor):
            register(1000)  # not at the point
            perf_monitor.measure(work)
            perf_monitor.measure(register, 1000)

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        """,
    )
    result, report = project.report("--perf", "--perf-leaks", "--perf-metrics=time", "--perf-budget=20s")
    assert result.ret == 1
    assert verdicts(report) == {
        "test_async_leaking": "leak", "test_async_clean": None, "test_task": "leak", "test_anyio_leaking": "leak",
        "test_thread": "leak", "test_point": "leak",
    }  # fmt: skip
    by_name = {test["nodeid"].partition("::")[2]: test["metrics"] for test in report["tests"]}
    assert {item["name"] for item in by_name["test_task"] if item["verdict"] == "leak"} == {"leak.tasks", "leak.memory"}
    assert [item["name"] for item in by_name["test_point"] if item["verdict"] == "leak"] == ["leak.memory:register"]


def test_what_pytest_keeps_is_no_leak(project):
    project.pytester.makepyfile(
        """
        import logging, warnings
        import pytest

        @pytest.mark.perf
        def test_talks(request, record_property):
            logging.getLogger("app").warning("x" * 1000)
            print("y" * 1000)
            warnings.warn("the same text")
        """
    )
    result, report = project.report("--perf", "--perf-leaks", "-W", "ignore::pytest.PytestWarning", *QUICK)
    assert verdicts(report) == {"test_talks": None}
    assert result.ret == 0


FIXTURES = """
import contextlib, logging, socket, unittest, warnings
import pytest

KEPT = []

class Config:
    mode = 1

@pytest.fixture
def make_socket():
    made = []
    def make():
        made.append(socket.socket())
    yield make
    for one in made:
        one.close()

@pytest.fixture(scope="module")
def shared_list():
    return []

@pytest.mark.perf
def test_monkeypatch(monkeypatch):
    monkeypatch.setattr(Config, "mode", 2)

@pytest.mark.perf
def test_monkeypatch_over_a_leak(monkeypatch):
    monkeypatch.setattr(Config, "mode", 2)
    KEPT.append(bytes(100))

@pytest.mark.perf
def test_finalizer(request):
    request.addfinalizer(socket.socket().close)

@pytest.mark.perf
def test_record(record_property):
    record_property("a", 1)

@pytest.mark.perf
def test_caplog(caplog):
    logging.getLogger("app").warning("hello")

@pytest.mark.perf
def test_factory(make_socket):
    make_socket()

@pytest.mark.perf
def test_factory_over_a_leak(request):
    request.getfixturevalue("make_socket")()
    KEPT.append(bytes(10_000))

@pytest.mark.perf
def test_shared(shared_list):
    shared_list.append(bytes(100))

class TestCase(unittest.TestCase):
    @pytest.mark.perf
    def test_cleanup(self):
        self.addCleanup(socket.socket().close)

    @pytest.mark.perf
    def test_subtest(self):
        for number in range(3):
            with self.subTest(number=number):
                sum(range(10))
"""


@pytest.mark.thorough
def test_what_a_teardown_frees_is_no_leak_and_hides_none(project):
    project.pytester.makepyfile(FIXTURES)
    result, report = project.report("--perf", "--perf-leaks", "--perf-metrics=time", "--perf-budget=8s")
    found = verdicts(report)
    assert {name for name, verdict in found.items() if verdict == "leak"} == {
        "test_monkeypatch_over_a_leak", "test_factory_over_a_leak",
    }  # fmt: skip
    assert {name for name, verdict in found.items() if verdict == "inconclusive"} <= {
        "test_factory", "test_shared", "TestCase::test_subtest",
    }  # fmt: skip
    reasons = {
        test["nodeid"].rpartition("::")[2]: [item["reason"] for item in test["metrics"] if "leak" in item["name"]]
        for test in report["tests"]
    }
    assert reasons["test_monkeypatch"][0].endswith("its teardown frees 71.5 B of memory per call")
    assert reasons["test_factory"][0] == (
        "leaks cannot be checked: the fixture make_socket keeps 1 socket per call until its teardown"
    )
    assert reasons["test_shared"][0].startswith("leaks cannot be checked: the fixture shared_list keeps 1")
    (leak,) = [item for item in by_name(report, "test_monkeypatch_over_a_leak") if item["name"] == "leak.memory"]
    assert leak["candidate"] == pytest.approx(141, abs=10)  # what the teardown frees is not part of it
    assert result.stdout.str().count("perf: checking 10 tests for leaks, within the budget: at most about 80 s") == 1


def by_name(report, name):
    return next(test["metrics"] for test in report["tests"] if test["nodeid"].endswith(f"::{name}"))


@pytest.mark.thorough
@pytest.mark.plugins("asyncio")
def test_what_an_async_fixture_closes_is_no_leak_and_what_the_loop_keeps_is(project):
    project.pytester.makepyfile(
        """
        import asyncio, socket, unittest
        import pytest
        import pytest_asyncio

        @pytest_asyncio.fixture
        async def made():
            made = []
            yield made
            for one in made:
                one.close()

        @pytest.mark.perf
        @pytest.mark.asyncio
        async def test_fixture(made):
            made.append(socket.socket())

        @pytest.mark.perf
        @pytest.mark.asyncio
        async def test_task():
            asyncio.ensure_future(asyncio.sleep(1000))

        @pytest.mark.perf
        @pytest.mark.asyncio
        async def test_timer():
            asyncio.get_running_loop().call_later(1000, len, "abc")
        """
    )
    _result, report = project.report("--perf", "--perf-leaks", "--perf-metrics=time", "--perf-budget=8s")
    found = verdicts(report)
    assert found.pop("test_fixture") in (None, "inconclusive")
    assert found == {"test_task": "leak", "test_timer": "leak"}


def test_what_a_test_counts_itself_is_checked_in_a_mode_too(project):
    project.pytester.makepyfile(
        """
        import pytest

        class Pool:
            lent = []

            def acquire(self):
                self.lent.append(f"connection {len(self.lent)}")

        @pytest.fixture
        def pool(memory_watch):
            pool = Pool()
            memory_watch.count("connections", lambda: pool.lent)
            return pool

        @pytest.mark.perf(leaks=True)
        def test_pool(pool):
            pool.acquire()

        @pytest.mark.perf(leaks=True)
        def test_after():
            pass
        """
    )
    result, report = project.report("--perf", *QUICK)
    assert verdicts(report) == {"test_pool": "leak", "test_after": None}
    result.stdout.fnmatch_lines(
        [
            "This test leaks connections and memory.",
            "*leak.connections 1.00 connections per call  leak",
            "*'connection *'",
        ]
    )


@pytest.mark.thorough
def test_a_test_that_cannot_be_called_again_is_inconclusive_and_says_so(project):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf(leaks=True)
        def test_folder(tmp_path):
            (tmp_path / "new").mkdir()
        """
    )
    result = project.run("--perf", *QUICK)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["inconclusive: *leaks: a leak check calls the function repeatedly, and a later call raised FileExistsError*"]
    )
    assert project.run("--perf", "--perf-strict", *QUICK).ret == 1


@pytest.mark.thorough
def test_budgets_of_allocations_and_of_resident_memory(project):
    project.pytester.makepyfile(
        library=LIBRARY,
        test_budgets="""
        import pytest
        from library import register, work

        @pytest.mark.perf(max_allocations=0, max_rss_growth="20MB")
        def test_clean():
            work()

        @pytest.mark.perf(max_allocations=0.5)
        def test_blocks():
            register(10)

        @pytest.mark.perf(max_rss_growth="20MB")
        def test_resident():
            register(1_000_000)
        """,
    )
    result, report = project.report("--perf", "--perf-budget=2s")
    assert result.ret == 1
    assert verdicts(report) == {"test_clean": None, "test_blocks": "over-limit", "test_resident": "over-limit"}
    over = {item["name"]: item for test in report["tests"] for item in test["metrics"] if item["verdict"]}
    assert over["max_allocations"]["candidate"] == pytest.approx(1, abs=0.2)
    assert over["max_rss_growth"]["candidate"] > 50_000_000
    assert "over limit: max_rss_growth " in result.stdout.str()


def test_a_wrong_budget_is_a_usage_error(project):
    project.pytester.makepyfile("import pytest\n@pytest.mark.perf(max_allocations='few')\ndef test_a(): pass")
    result = project.run("--perf")
    assert result.ret == 4
    assert "max_allocations in the marker perf of *::test_a: 'few' is not a count" in result.stderr.str().replace(
        "test_a_wrong_budget_is_a_usage_error.py", "*"
    )


@pytest.mark.plugins("asyncio")
def test_the_fixture_needs_no_mode(project):
    project.pytester.makepyfile(
        library=LIBRARY,
        test_watch="""
        import logging
        import pytest
        from library import register, work

        def test_clean(memory_watch):
            memory_watch.check(work)

        def test_leaking(memory_watch):
            memory_watch.check(register, 1000)

        def test_block(memory_watch, caplog):
            with memory_watch(max_growth="50KB", resources=True):
                for _ in range(100):
                    logging.getLogger("app").warning("x" * 1000)
            assert len(caplog.records) == 100

        def test_left_behind(memory_watch, tmp_path):
            with memory_watch(resources=True):
                global kept
                kept = (tmp_path / "left").open("w")

        def test_same_under_another_name(perf_memory_watch, memory_watch):
            assert perf_memory_watch is memory_watch
            assert memory_watch.peak(bytes, 1_000_000) > 1_000_000

        @pytest.mark.asyncio
        async def test_async(memory_watch):
            async def leak():
                register(1000)

            with pytest.raises(AssertionError, match="of memory per call"):
                await memory_watch.check_async(leak)
        """,
    )
    result = project.run("-p", "no:cacheprovider", short=False)
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(
        [
            "E *LeakError: leak: 1.0* KB of memory per call",
            "E * at library.py:*  HANDLERS.append(b?x? * size)",
            "E *kept by library.HANDLERS: a list of *",
            "E *LeakError: left behind: 1 open file",
            "E */left (descriptor *",
        ]
    )
    assert "engine/leaks/watch.py" not in result.stdout.str()  # the traceback ends where the user's test does
