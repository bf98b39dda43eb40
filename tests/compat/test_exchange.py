"""pytest-benchmark's JSON, and records of the baseline file."""

from __future__ import annotations

import json

import pytest

from pytest_perfguard.compat import exchange
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Measurement, Record, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.core.tool_errors import BenchmarkFileError
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass, from_text, to_text
from pytest_perfguard.engine.verdict.stored import judge_stored
from tests.compat.rows import finished

COMMIT = {"id": "0123456789abcdef0123456789abcdef01234567", "dirty": False}
SETTINGS = resolve(marker={}, command_line={}, ini={})


def file_of(*benchmarks, commit=COMMIT, data=True):
    made = [one.as_dict(include_data=data) for one in benchmarks]
    return exchange.to_text(
        exchange.benchmark_json(made, {"node": "n", "cpu": {}}, commit, "2026-01-31T12:00:00+00:00")
    )


def test_a_file_has_what_its_consumers_read():
    content = json.loads(file_of(finished("test_a[1]", param="1", params={"n": 1}, group="g")))
    assert list(content) == ["machine_info", "commit_info", "benchmarks", "datetime", "version"]
    (benchmark,) = content["benchmarks"]
    assert list(benchmark) == ["group", "name", "fullname", "params", "param", "extra_info", "options", "stats"]
    assert benchmark["stats"]["data"] == [1e-6, 2e-6, 3e-6]
    assert benchmark["stats"]["iterations"] == 10


def test_what_json_does_not_know_costs_no_file():
    assert "UNSERIALIZABLE[<object" in file_of(finished("test_a[x]", params={"x": object()}))


@pytest.mark.parametrize("data", [True, False])
def test_a_benchmark_becomes_a_record_of_one_process(data):
    records = exchange.records_from_benchmark_json(file_of(finished("test_a"), data=data), "x.json")
    (record,) = records.values()
    assert list(records) == ["a.py::test_a"]
    assert record == Record(
        "", "0123456789ab", 0.0, {"": 10}, {"time": MetricStats("s", (1e-6,), (2e-6,), 3)}, paces=(0.0,)
    )


@pytest.mark.parametrize(
    ("info", "commit"),
    [
        ({**COMMIT, "dirty": True}, "0123456789ab+"),
        ({"id": "unversioned"}, ""),
        ({"id": "unknown"}, ""),
        (None, ""),
        ({}, ""),
    ],
)
def test_the_commit_is_written_as_in_the_baseline_file(info, commit):
    (record,) = exchange.records_from_benchmark_json(file_of(finished("test_a"), commit=info or {}), "x.json").values()
    assert record.commit == commit


def test_a_collector_that_was_off_is_a_condition():
    made = finished("test_a")
    made.options["disable_gc"] = True
    (record,) = exchange.records_from_benchmark_json(file_of(made), "x.json").values()
    assert record.conditions == {"collector": False}


def test_an_imported_record_is_a_baseline_that_can_be_read_and_judged_against():
    """It clears what is as fast, and accuses only what no bad luck explains."""
    records = exchange.records_from_benchmark_json(file_of(finished("test_a", [1e-3, 1.1e-3])), "x.json")
    text = to_text(Baseline({"a-class": MachineClass(tests=records)}))
    record = from_text(text, "perf-baseline.json").tests_of("a-class")["a.py::test_a"]
    assert record == records["a.py::test_a"]

    def verdict(seconds):
        samples = {
            "time": MetricStats.from_rounds("s", ((seconds,),) * 30),
            "memory": MetricStats.from_rounds("B", ((5.0,),) * 30),
        }
        taken = Measurement(samples, {"": 1}, 1e-4, (1e-4,) * 30, 1.0, processes=30)
        return judge_stored("a.py::test_a", record, taken, SETTINGS, final=True).verdict

    assert [verdict(seconds) for seconds in (1e-3, 1.2e-3, 5e-3)] == [
        Verdict.UNCHANGED,
        Verdict.INCONCLUSIVE,
        Verdict.REGRESSION,
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "x.json: not JSON: "),
        ("[]", 'x.json: it has no list "benchmarks"'),
        ('{"benchmarks": {}}', 'it has no list "benchmarks"'),
        ('{"benchmarks": [{"name": "a"}]}', "benchmarks[0] has no fullname"),
        ('{"benchmarks": [{"fullname": "a"}]}', 'the benchmark a has no "stats"'),
        (
            '{"benchmarks": [{"fullname": "a", "stats": {"min": "1"}}]}',
            "the benchmark a: stats.min is '1', expected a number",
        ),
        ('{"benchmarks": [{"fullname": "a", "stats": {"min": NaN}}]}', "stats.min is nan"),
    ],
)
def test_another_file_is_refused_with_the_field_at_fault(text, problem):
    with pytest.raises(BenchmarkFileError) as caught:
        exchange.records_from_benchmark_json(text, "x.json")
    assert problem in str(caught.value)
    assert "give a file that pytest --benchmark-json" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rounds": 0}, "its stats contradict each other"),
        ({"min": 9.0}, "its stats contradict each other"),
        ({"iterations": 0}, "stats.iterations is 0"),
        ({"data": ["x"]}, "stats.data is not a list of numbers"),
        ({"median": True}, "stats.median is True"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes, problem):
    content = json.loads(file_of(finished("test_a")))
    content["benchmarks"][0]["stats"].update(changes)
    with pytest.raises(BenchmarkFileError, match=problem):
        exchange.records_from_benchmark_json(json.dumps(content), "x.json")


def test_the_machine_is_told_apart():
    assert exchange.machine_of_benchmark_json(file_of(finished("test_a")), "x.json") == {
        "node": "n",
        "datetime": "2026-01-31T12:00:00+00:00",
    }


RECORDS = {
    "a.py::test_b[1-x]": Record(
        "", "c0", 1e-4, {"": 7, "parse": 2},
        {
            "time": MetricStats("s", (1.0, 2.0), (3.0, 5.0), 80),
            "time:parse": MetricStats("s", (1e-6,), (1e-6,), 3),
            "memory": MetricStats("B", (10.0,), (12.0,), 5),
        },
    )
}  # fmt: skip


def test_records_become_benchmarks_whose_rounds_are_processes():
    content = exchange.benchmark_json_from_records(RECORDS, machine_info={"node": "n"}, commit_info=COMMIT, at="2026")
    whole, part = content["benchmarks"]
    assert (whole["name"], whole["fullname"], whole["param"]) == ("test_b[1-x]", "a.py::test_b[1-x]", "1-x")
    assert (whole["stats"]["min"], whole["stats"]["median"], whole["stats"]["rounds"]) == (1.0, 4.0, 2)
    assert (part["fullname"], part["stats"]["iterations"]) == ("a.py::test_b[1-x] (parse)", 2)
    again = exchange.records_from_benchmark_json(exchange.to_text(content), "x.json")
    assert again["a.py::test_b[1-x]"].metrics["time"].medians == (4.0,)


def test_records_become_csv_with_a_line_per_metric():
    assert exchange.csv_from_records(RECORDS).splitlines() == [
        "test,metric,unit,estimate,minimum,median,processes,rounds,iterations,commit",
        "a.py::test_b[1-x],time,s,1.0,1.0,4.0,2,80,7,c0",
        "a.py::test_b[1-x],time:parse,s,1e-06,1e-06,1e-06,1,3,2,c0",
        "a.py::test_b[1-x],memory,B,12.0,10.0,12.0,1,5,7,c0",
    ]
