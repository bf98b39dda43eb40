"""`perf_monitor` through the door: alerts, timers as metrics, claims, the file of metrics."""

from __future__ import annotations

import json

import pytest

from tests.repository import Repository

TIMERS = """
import os
import pytest

def busy(rounds):
    for _ in range(rounds):
        pass

def query():
    busy(600 * int(os.environ.get("SLOWER", "1")))

@pytest.mark.perf
def test_page(perf_monitor):
    with perf_monitor.timer("db.query", table="users"):
        query()
    perf_monitor.observe("rows", 3)
    busy(6000)
"""
QUICK = ("--perf-metrics=time", "--perf-budget=2s")


def metrics_of(report):
    return {item["name"]: item for test in report["tests"] for item in test["metrics"]}


@pytest.mark.plugins("asyncio")
def test_an_alert_fails_its_test_with_value_limit_and_series(project, distribution):
    project.pytester.makepyfile(
        """
        import pytest

        def test_breach(perf_monitor):
            perf_monitor.alert("queue > 10")
            perf_monitor.gauge("queue", 11)

        def test_in_order(perf_monitor):
            perf_monitor.alert("queue > 10")
            perf_monitor.gauge("queue", 5)

        @pytest.mark.xfail(reason="known")
        def test_known(perf_monitor):
            perf_monitor.alert("queue > 10")
            perf_monitor.gauge("queue", 12)

        def test_without():
            pass

        @pytest.mark.asyncio
        async def test_async(perf_monitor):
            perf_monitor.alert("queue > 10")
            perf_monitor.gauge("queue", 13)
        """
    )
    result = project.run(*distribution, short=False)
    result.assert_outcomes(passed=2, failed=2, xfailed=1)
    result.stdout.fnmatch_lines(['queue.value is 11: alert "queue > 10"'])
    assert "During handling" not in result.stdout.str()


def test_a_wrong_expression_shows_its_place(project):
    project.pytester.makepyfile("def test_a(perf_monitor): perf_monitor.alert('db.query.p95 >> 5')")
    result = project.run(short=False)
    result.stdout.fnmatch_lines(["E *ExpressionError: alert, column 15: expected a number*", "E *db.query.p95 >> 5"])


@pytest.mark.thorough
def test_timers_and_histograms_are_metrics_of_their_own(project, monkeypatch):
    project.pytester.makepyfile(TIMERS)
    assert project.run("--perf-baseline", *QUICK).ret == 0
    project.rewrite_baseline()
    recorded = json.loads(project.baseline.read_text())["classes"].popitem()[1]["tests"].popitem()[1]["metrics"]
    assert {'time:db.query{table="users"}', 'p95:db.query{table="users"}', "value:rows", "value-p95:rows"} <= set(
        recorded
    )
    monkeypatch.setenv("SLOWER", "9")
    result, report = project.report("--perf-compare", "--perf-threshold=200%", *QUICK)
    assert result.ret == 1
    found = metrics_of(report)
    assert found['time:db.query{table="users"}']["verdict"] == "regression"
    assert found["time"]["verdict"] != "regression"
    assert found["value:rows"]["verdict"] == "unchanged"


@pytest.mark.thorough
def test_a_timer_that_only_one_side_has_makes_nothing_incomparable(project):
    project.pytester.makepyfile(library="def work(monitor):\n    return sum(range(2000))\n")
    project.pytester.makepyfile(
        """
        import pytest
        from library import work

        @pytest.mark.perf
        def test_work(perf_monitor):
            work(perf_monitor)
        """
    )
    Repository(project.path).commit()
    project.pytester.makepyfile(
        library="def work(monitor):\n    with monitor.timer('sum'):\n        return sum(range(2000))\n"
    )
    result, report = project.report("--perf-against=HEAD", "--perf-threshold=500%", *QUICK)
    assert result.ret == 0
    assert [test["verdict"] for test in report["tests"]] == ["unchanged"]


@pytest.mark.thorough
def test_budgets_of_tails_are_in_the_marker(project):
    source = TIMERS.replace("@pytest.mark.perf", "@pytest.mark.perf(max_p95={'db.query': LIMIT, 'none': '1s'})")
    project.pytester.makepyfile(source.replace("LIMIT", "'10s'"))
    result, report = project.report("--perf", *QUICK)
    assert result.ret == 0
    assert metrics_of(report)["max_p95:none"]["reason"].startswith("the test recorded no timer none")
    project.pytester.makepyfile(source.replace("LIMIT", "'100ns'"))
    result = project.run("--perf", *QUICK)
    assert result.ret == 1
    assert 'over limit: max_p95:db.query{table="users"}' in result.stdout.str()
    project.pytester.makepyfile(source.replace("LIMIT", "'100'"))
    result = project.run("--perf", *QUICK)
    assert result.ret == 4
    assert "'100' is not a duration" in result.stderr.str()


@pytest.mark.thorough
@pytest.mark.plugins("asyncio")
def test_claims_are_judged_where_nothing_is_compared(project):
    project.pytester.makepyfile(
        """
        import pytest

        def work(number):
            return sum(range(number))

        async def later(number):
            return sum(range(number))

        @pytest.mark.perf
        def test_true(perf_monitor):
            perf_monitor.named("few", work, 500).faster_than(perf_monitor.named("many", work, 5000), by=2)

        @pytest.mark.perf
        def test_false(perf_monitor):
            perf_monitor.named("many", work, 5000).faster_than(perf_monitor.named("few", work, 500))

        @pytest.mark.perf
        @pytest.mark.asyncio
        async def test_async(perf_monitor):
            await perf_monitor.measure_async(later, 3)
            few, many = perf_monitor.named("few", later, 500), perf_monitor.named("many", later, 5000)
            await few.faster_than_async(many, by="50%")
        """
    )
    result, report = project.report("--perf", "--perf-metrics=time", "--perf-budget=20s")
    assert result.ret == 1
    assert {test["nodeid"].partition("::")[2]: test["verdict"] for test in report["tests"]} == {
        "test_true": None, "test_false": "over-limit", "test_async": None,
    }  # fmt: skip
    assert "time:later" in metrics_of(report)
    result.stdout.fnmatch_lines(["This test claims that something is faster, and it is not."])
    assert "claim: many should take less time than few" in result.stdout.str()


@pytest.mark.thorough
def test_a_test_that_only_makes_claims_is_judged_against_anything(project):
    project.pytester.makepyfile(
        """
        import pytest

        def work(number):
            return sum(range(number))

        @pytest.mark.perf
        def test_true(perf_monitor):
            perf_monitor.alert("x > 1", on_record=True)
            perf_monitor.named("few", work, 500).faster_than(perf_monitor.named("many", work, 5000), by=2)

        @pytest.mark.perf
        def test_false(perf_monitor):
            perf_monitor.named("many", work, 5000).faster_than(perf_monitor.named("few", work, 500))
        """
    )
    Repository(project.path).commit()
    for mode in ("--perf-baseline", "--perf-compare", "--perf-against=HEAD"):
        if mode == "--perf-compare":
            project.baseline.write_text('{"schema": 1, "classes": {}}')
        if mode == "--perf-against=HEAD":
            (project.path / "other.py").write_text("")
        result, report = project.report(mode, "--perf-metrics=time", "--perf-budget=20s")
        verdicts = {test["nodeid"].partition("::")[2]: test["verdict"] for test in report["tests"]}
        assert verdicts["test_false"] == "over-limit", mode
        assert verdicts["test_true"] in (None, "unchanged"), mode
        assert result.ret == 1


def test_the_file_of_metrics_has_what_every_test_recorded(project, distribution):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", [1, 2, 3])
        def test_counts(perf_monitor, number):
            perf_monitor.count("hits", number)
        """
    )
    assert project.run("--perf-metrics-file=out/metrics.json", *distribution, short=False).ret == 0
    (hits,) = json.loads((project.path / "out" / "metrics.json").read_text())
    assert (hits["name"], hits["value"]) == ("hits", 6)


def test_the_file_of_metrics_has_what_was_measured(project):
    pytest.importorskip("prometheus_client", reason="needs prometheus-client")
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    project.pytester.makepyfile("import pytest\n@pytest.mark.perf\ndef test_work(): sum(range(2000))")
    project.pytester.makeini("[pytest]\nperf_metrics_file = metrics.txt\n")
    assert project.run("--perf").ret == 0
    families = text_string_to_metric_families((project.path / "metrics.txt").read_text())
    samples = {(sample.name, sample.labels.get("metric")): sample for family in families for sample in family.samples}
    assert 1e-6 < samples["perfguard_candidate_seconds", "time"].value < 1
    assert samples["perfguard_verdict", None].labels["verdict"] == "measured"
