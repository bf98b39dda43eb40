"""Measure a claim that one call is faster than another: both in one process, alternating like the two arms of a pair."""

from __future__ import annotations

from collections.abc import Callable

from pytest_perfguard.core.model import ClaimSamples
from pytest_perfguard.core.stats.sequential import log_ratio
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureResult
from pytest_perfguard.engine.measure.paired_plan import ArmRequest, PairedPlanOptions, plan_pair
from pytest_perfguard.engine.runner.process import WorkerProcess
from pytest_perfguard.engine.runner.protocol import FasterThanPoint, SetAffinity
from pytest_perfguard.engine.runner.scheduler import MeasuredTest, run_plan


def measure_claim(worker: WorkerProcess, point: FasterThanPoint, index: int, test: MeasuredTest) -> ClaimSamples:
    """Measure the two calls in the process of this index; return the claim with the log ratio of this process."""
    options = PairedPlanOptions(
        ("time",),
        round(test.settings.budget * 1e9),
        pinned=None if worker.ready.can_pin else False,
        head_first=index % 2 == 1,
        memory=False,
        separate_calibration=True,
    )
    result = run_plan(plan_pair(options), _sender(worker, index, test))
    ratio = None
    if not result.head.stateful:
        ratio = log_ratio(result.head.values["time"], result.base.values["time"])
    ratios = () if ratio is None else (ratio,)
    return ClaimSamples(point.name, point.rival, point.by, ratios, result.head.stateful or "")


def _sender(
    worker: WorkerProcess, index: int, test: MeasuredTest
) -> Callable[[ArmRequest], MeasureResult | CallRaised]:
    """Return the function that sends the plan's requests to the process, pinned or not as they demand."""
    pinned = False  # at the beginning of a point

    def measure(request: ArmRequest) -> MeasureResult | CallRaised:
        nonlocal pinned
        if request.pinned is not pinned:
            pinned = request.pinned
            worker.send(SetAffinity(index if pinned else -1))
        return worker.measure(request.as_rival_request, doing=f"measuring {test.nodeid}", limit=test.time_limit)

    return measure
