"""One claim of a test in one process: two calls measured in turn, as two arms of a pair are."""

from __future__ import annotations

from collections.abc import Callable

from pytest_perfguard.abtest.protocol import Duel, Pin
from pytest_perfguard.abtest.rounds import converse
from pytest_perfguard.abtest.worker import Worker
from pytest_perfguard.measure.pair_plan import Ask, PairOrder, plan_pair
from pytest_perfguard.measure.visit import Raised, Taken
from pytest_perfguard.model import Contest
from pytest_perfguard.stats.sequential import log_ratio


def serve_duel(worker: Worker, duel: Duel, *, index: int, budget: float, doing: str, limit: float) -> Contest:
    """Measure the two calls in turn in the process of this index -> the contest with this process's ratio.

    `budget` is the seconds for all processes together.
    """
    order = PairOrder(
        ("time",),
        round(budget * 1e9),
        pinned=None if worker.ready.pins else False,
        swapped=index % 2 == 1,
        memory=False,
    )
    visit = converse(plan_pair(order), _asker(worker, index, doing, limit))
    ratio = None
    if not visit.head.stateful:
        ratio = log_ratio(visit.head.values["time"], visit.base.values["time"])
    ratios = () if ratio is None else (ratio,)
    return Contest(duel.name, duel.rival, duel.by, ratios, visit.head.stateful)


def _asker(worker: Worker, index: int, doing: str, limit: float) -> Callable[[Ask], Taken | Raised]:
    placed = False  # where a point begins

    def ask(request: Ask) -> Taken | Raised:
        nonlocal placed
        if request.pinned is not placed:
            placed = request.pinned
            worker.send(Pin(index if placed else -1))
        return worker.ask(request.take_of_one_process, doing=doing, limit=limit)

    return ask
