"""`perfguard accept`: a run's numbers of named tests become the baseline's."""

from __future__ import annotations

from dataclasses import replace

from pytest_perfguard.core.metric_stats import MetricStats
from tests.cli.conftest import record, report, slower


def test_named_tests_take_the_runs_numbers_and_the_others_stay(command):
    command.keep("perf-baseline.json", {"t": record(), "u": record()})
    (command.path / "r.json").write_text(report({"t": slower(record(), 2.0), "u": slower(record(), 2.0)}))
    status, out, _err = command.run("accept", "r.json", "t")
    assert status == 0
    assert out.splitlines()[0] == "accepted t"
    tests = command.store.read().tests_of("linux")
    assert tests["t"] == slower(record(), 2.0)
    assert tests["u"] == record()


def test_a_first_baseline_can_be_made_of_a_report(command):
    (command.path / "r.json").write_text(report({"t": record()}))
    status, data = command.json("accept", "r.json", "*")
    assert (status, data["accepted"], data["doubts"]) == (0, ["t"], {})
    assert command.store.read().tests_of("linux") == {"t": record()}


def test_numbers_of_few_processes_are_accepted_with_a_word(command):
    (command.path / "r.json").write_text(report({"t": record(processes=2)}))
    _status, out, _err = command.run("accept", "r.json", "t")
    assert "accepted t: from 2 processes instead of 10, so it will detect less" in out


def test_counts_need_no_ten_processes(command):
    counts = MetricStats.from_rounds("instructions", ((1e6,), (1e6,)))
    counted = replace(record(), metrics={"instructions": counts}, paces=(0.0,))
    (command.path / "r.json").write_text(report({"t": counted}))
    _status, data = command.json("accept", "r.json", "t")
    assert data["doubts"] == {}


def test_what_was_only_measured_side_by_side_cannot_stand_alone(command):
    command.keep("perf-baseline.json", {"t": record()})
    (command.path / "r.json").write_text(report({"t": slower(record(kernel=0.0), 2.0)}))
    status, _out, err = command.run("accept", "r.json", "t")
    assert status == 4
    assert "record it with: pytest --perf-baseline" in err
    assert command.store.read().tests_of("linux") == {"t": record()}


def test_a_test_that_the_report_does_not_have_is_an_error(command):
    (command.path / "r.json").write_text(report({"t": record()}))
    status, _out, err = command.run("accept", "r.json", "nope")
    assert status == 4
    assert "has no measurement of nope" in err
    assert not command.store.path.exists()
