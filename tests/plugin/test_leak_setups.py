"""The script of a set-up of the second leak check."""

from __future__ import annotations

from pytest_perfguard.engine.leaks.setup_check import SetupRequest
from pytest_perfguard.engine.measure.messages import MeasureResult
from pytest_perfguard.engine.runner.protocol import PointReached, Resume
from pytest_perfguard.plugin.leak_setups import _Script


def _growth(levels, suspects):
    """Play a set-up with five calls whose levels are those of a function of the calls so far."""
    made = 0
    script = _Script("time", SetupRequest(5), lambda: levels(made), suspects)
    script.send(PointReached("time"))
    while not isinstance(request := script.receive(), Resume):
        made += request.rounds * request.iterations
        script.send(MeasureResult({"time": [1.0], "setup": [0.0]}))
    return {kind: script.after[kind] - script.before.get(kind, 0) for kind in script.after}, made


def test_the_calls_grow_from_the_level_before_them():
    assert _growth(lambda calls: {"memory": 100 + 3 * calls}, {"memory"}) == ({"memory": 15}, 5)


def test_a_counter_that_the_first_call_adds_grows_from_there():
    def levels(calls):
        return {"memory": 3 * calls, **({"loans": 40 + calls} if calls else {})}

    assert _growth(levels, {"loans"}) == ({"memory": 15, "loans": 5}, 6)
