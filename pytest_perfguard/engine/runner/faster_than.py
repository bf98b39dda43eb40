"""One claim of a test in one process: two calls measured in turn, as two arms of a pair are."""

from __future__ import annotations

from collections.abc import Callable

from pytest_perfguard.core.model import Contest
from pytest_perfguard.core.stats.sequential import log_ratio
from pytest_perfguard.engine.measure.messages import Raised, Taken
from pytest_perfguard.engine.measure.paired_plan import Ask, PairOrder, plan_pair
from pytest_perfguard.engine.runner.process import Worker
from pytest_perfguard.engine.runner.protocol import Duel, Pin
from pytest_perfguard.engine.runner.scheduler import Subject, converse


def serve_duel(worker: Worker, duel: Duel, index: int, subject: Subject) -> Contest:
    """Measure the two calls in turn in the process of this index -> the contest with this process's ratio."""
    order = PairOrder(
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
    return Contest(duel.name, duel.rival, duel.by, ratios, visit.head.stateful)


def _asker(worker: Worker, index: int, subject: Subject) -> Callable[[Ask], Taken | Raised]:
    placed = False  # where a point begins

    def ask(request: Ask) -> Taken | Raised:
        nonlocal placed
        if request.pinned is not placed:
            placed = request.pinned
            worker.send(Pin(index if placed else -1))
        return worker.ask(request.take_of_one_process, doing=f"measuring {subject.nodeid}", limit=subject.time_limit)

    return ask
