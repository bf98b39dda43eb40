"""Absolute limits of metrics that were not measured."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Measurement, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.verdict.limits import judge_limits

TIME, MEMORY = MetricStats.from_rounds("s", ((1e-4,),)), MetricStats.from_rounds("B", ((500.0,),))


@pytest.mark.parametrize(
    ("marker", "taken", "name", "unit"),
    [
        ({"max_time": "50us"}, {"memory": MEMORY}, "max_time", "s"),
        ({"max_memory": "1KiB"}, {"time": TIME}, "max_memory", "B"),
        ({"max_allocations": 5}, {"time": TIME}, "max_allocations", "blocks"),
        ({"max_p95": {"db": "5ms"}}, {"memory": MEMORY}, "max_p95:db", "s"),
    ],
)
def test_a_budget_of_what_was_not_taken_is_open_in_its_own_unit(marker, taken, name, unit):
    settings = resolve(marker=marker, command_line={}, ini={})
    measurement = Measurement(taken, {"": 3}, 3e-4, (3e-4,), 1.0, processes=1, seconds=2.0)
    (finding,) = judge_limits(measurement, settings, final=True)
    assert (finding.name, finding.unit, finding.verdict) == (name, unit, Verdict.INCONCLUSIVE)
    assert judge_limits(measurement, settings, final=False) == []
