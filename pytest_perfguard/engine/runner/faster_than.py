"""One claim of a test in one process: two calls measured in turn, as two arms of a pair are."""

from __future__ import annotations

from collections.abc import Callable

from pytest_perfguard.core.model import ClaimSamples
from pytest_perfguard.core.stats.sequential import log_ratio
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureResult
from pytest_perfguard.engine.measure.paired_plan import ArmRequest, PairedPlanOptions, plan_pair
from pytest_perfguard.engine.runner.process import WorkerProcess
from pytest_perfguard.engine.runner.protocol import FasterThanPoint, SetAffinity
from pytest_perfguard.engine.runner.scheduler import MeasuredTest, converse


def serve_duel(worker: WorkerProcess, duel: FasterThanPoint, index: int, subject: MeasuredTest) -> ClaimSamples:
    """Measure the two calls in turn in the process of this index -> the contest with this process's ratio."""
    order = PairedPlanOptions(
        ("time",),
        round(subject.settings.budget * 1e9),
        pinned=None if worker.ready.pins else False,
        swapped=index % 2 == 1,
        memory=False,
        separate=True,
    )
    visit = converse(plan_pair(order), _asker(worker, index, subject))
    ratio = None
    if not visit.head.stateful:
        ratio = log_ratio(visit.head.values["time"], visit.base.values["time"])
    ratios = () if ratio is None else (ratio,)
    return ClaimSamples(duel.name, duel.rival, duel.by, ratios, visit.head.stateful or None)


def _asker(
    worker: WorkerProcess, index: int, subject: MeasuredTest
) -> Callable[[ArmRequest], MeasureResult | CallRaised]:
    placed = False  # where a point begins

    def ask(request: ArmRequest) -> MeasureResult | CallRaised:
        nonlocal placed
        if request.pinned is not placed:
            placed = request.pinned
            worker.send(SetAffinity(index if placed else -1))
        return worker.ask(request.take_of_one_process, doing=f"measuring {subject.nodeid}", limit=subject.time_limit)

    return ask
