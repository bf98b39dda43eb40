"""The child's side of a measurement point, over a scripted link."""

from __future__ import annotations

import asyncio

import pytest

from pytest_perfguard import PerformanceMonitor
from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.core.measurement_points import Claim
from pytest_perfguard.engine.measure.affinity import Pinning
from pytest_perfguard.engine.measure.messages import Raised, Take, Taken
from pytest_perfguard.engine.runner.protocol import Duel, GoOn, Point, Quit
from pytest_perfguard.engine.runner.worker import Conversation, describe

PINNING = Pinning()


class Script:
    """A link that hands out the controller's words and keeps the child's."""

    def __init__(self, *words):
        self.words = list(words)
        self.said = []

    def send(self, message):
        self.said.append(message)

    def receive(self):
        return self.words.pop(0)


def test_a_point_is_announced_served_and_left():
    link = Script(Take("time", 2, 3), GoOn())
    assert Conversation(link, None, PINNING).measure(lambda: 42, "parse") == 42
    announced, taken = link.said
    assert announced == Point("parse")
    assert isinstance(taken, Taken)
    assert {name: len(values) for name, values in taken.values.items()} == {
        "time": 3, "cpu": 3, "lost": 3, "setup": 3,
    }  # fmt: skip


def test_a_claim_is_announced_and_each_side_is_called_as_asked():
    log = []
    link = Script(Take("time", 2, 1), Take("time", 3, 1, rival=True), GoOn())
    conversation = Conversation(link, None, PINNING)
    conversation.duel(lambda: log.append("new"), lambda: log.append("old"), Claim("new", "old", 1.25))
    assert link.said[0] == Duel("new<old", "new", "old", 1.25)
    assert log == ["new"] * 2 + ["old"] * 3


def test_an_async_claim_runs_inside_the_running_loop():
    log = []

    async def call(name):
        log.append(name)

    link = Script(Take("turn", 1, 1, rival=True), GoOn())
    conversation = Conversation(link, None, PINNING)
    asyncio.run(conversation.duel_async(lambda: call("new"), lambda: call("old"), Claim("new", "old", 1.0)))
    assert log == ["old"] * 3  # two untimed


def test_what_the_test_records_comes_with_the_readings():
    monitor = PerformanceMonitor()
    link = Script(Take("paced", 2, 3), Take("tails", 1, 1), GoOn())
    Conversation(link, None, PINNING, distributions=monitor.histograms).measure(lambda: monitor.observe("rows", 5), "")
    assert link.said[1].recorded == {"value:rows": [10, 10, 10]}
    assert link.said[2] == Taken({}, {})  # too few for a tail


def test_the_same_point_reached_again_has_a_number():
    link = Script(GoOn(), GoOn(), GoOn())
    conversation = Conversation(link, None, PINNING)
    for label in ("parse", "parse", "dump"):
        conversation.measure(lambda: None, label)
    assert link.said == [Point("parse"), Point("parse#2"), Point("dump")]
    assert conversation.points == 3


def test_a_call_that_raises_is_reported_and_the_point_stays_open():
    calls = []

    def second_fails():
        calls.append(1)
        if len(calls) == 2:
            raise FileExistsError("it is there")
        return "first"

    link = Script(Take("time", 1, 1), Take("time", 1, 1), Take("time", 1, 1), GoOn())
    assert Conversation(link, None, PINNING).measure(second_fails, "") == "first"
    assert [type(message) for message in link.said] == [Point, Taken, Raised, Taken]
    assert link.said[2] == Raised("FileExistsError: it is there")


@pytest.mark.parametrize(
    "outcome", [pytest.fail.Exception("no"), pytest.skip.Exception("no"), SystemExit(3), StopIteration()]
)
def test_whatever_the_test_raises_is_its_own_affair(outcome):
    def call():
        raise outcome

    link = Script(Take("time", 1, 1), GoOn())
    with pytest.raises(type(outcome)):
        Conversation(link, None, PINNING).measure(call, "")
    assert isinstance(link.said[1], Raised)


def test_an_async_point_runs_inside_the_running_loop():
    loops = set()

    async def call():
        loops.add(asyncio.get_running_loop())

    async def main():
        link = Script(Take("time", 1, 2), Take("memory", 1, 1), GoOn())
        await Conversation(link, None, PINNING).measure_async(call, "")
        return asyncio.get_running_loop(), link

    loop, link = asyncio.run(main())
    assert loops == {loop}
    assert [type(message) for message in link.said] == [Point, Taken, Taken]


@pytest.mark.parametrize("word", [Quit(), Take("eval", 1, 1)])
def test_a_wrong_word_is_refused(word):
    with pytest.raises(ProtocolError, match="expected Pin, Take, Examine or GoOn"):
        Conversation(Script(word), None, PINNING).measure(lambda: None, "")


def test_a_points_own_setup_takes_the_place_of_the_markers():
    log = []
    link = Script(Take("time", 1, 2), GoOn())
    conversation = Conversation(link, lambda: log.append("marker's"), PINNING)
    conversation.measure(lambda: log.append("call"), "", lambda: log.append("own"))
    assert log == ["own", "call"] * 2


def test_the_latest_rounds_are_known_in_seconds_per_call():
    conversation = Conversation(Script(Take("time", 4, 3), Take("blocks", 1, 1), GoOn()), None, PINNING)
    conversation.measure(lambda: None, "")
    assert len(conversation.last_rounds) == 3
    assert all(0 < seconds < 1 for seconds in conversation.last_rounds)


def test_setup_runs_before_every_round():
    log = []
    link = Script(Take("time", 2, 2), GoOn())
    Conversation(link, lambda: log.append("setup"), PINNING).measure(lambda: log.append("call"), "")
    assert log == ["setup", "call", "call"] * 2


def test_an_error_is_one_line():
    assert describe(ValueError("a\n  b")) == "ValueError: a b"
    assert describe(KeyError()) == "KeyError"
