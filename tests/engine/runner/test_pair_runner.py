"""The passes over fresh pairs, with scripted processes."""

from __future__ import annotations

from itertools import count

import pytest

from pytest_perfguard.core.errors import ChildDied, ChildTimedOut, WrongCode
from pytest_perfguard.core.model import Comparison, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.runner import pair_runner as module
from pytest_perfguard.engine.runner.pair_runner import PairRunner
from pytest_perfguard.engine.runner.pair_workers import PairOptions
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.protocol import (
    FinishedTest,
    PointReached,
    Ready,
    Resume,
    ServeTest,
    SetAffinity,
)
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.plugin.capture import error_summary

SETTINGS = resolve(marker={}, command_line={}, ini={})


class World:
    """Stands in for `Worker`. `behaviours` are looked up by (arm, node id); what happens is written down in `log`."""

    def __init__(self, behaviours=None, *, ready=None, load=1.0):
        self.behaviours = behaviours or {}
        self.ready = ready or {}
        self.load = load
        self.log = []
        self.started = []
        self.alive = []
        self.can_pin = []

    def __call__(self, launch, nodeids, files):
        return Child(self, launch.arm, nodeids)

    def slices(self, nodeid):
        """The arms in the order of the requests."""
        return "".join(arm[0] for arm, name, word in self.log if name == nodeid and word == "warmed")


class Child:
    def __init__(self, world, arm, nodeids):
        self.world, self.arm, self.nodeids = world, arm, nodeids
        self.queue = []
        self.single_calls = 0

    def __enter__(self):
        self.world.started.append((self.arm, list(self.nodeids)))
        self.world.alive.append(self.arm)
        return self

    def __exit__(self, *_error):
        self.world.alive.remove(self.arm)

    @property
    def ready(self):
        found = [n for n in self.nodeids if self.world.behaviours.get((self.arm, n)) != "lost"]
        problems = ["a: ImportError: cannot import name 'new'"] if len(found) < len(self.nodeids) else []
        if self.world.behaviours.get((self.arm, "start")) == "dies":
            raise ChildDied("starting and collecting", "no conftest", status=4, arm=self.arm)
        facts = {"pins": True, "python": "3.11.0"} | self.world.ready.get(self.arm, {})
        more = [facts.get("unlike", {}), facts.get("other_ids", {})]
        return Ready(found, problems, [], True, facts["pins"], facts["python"], {}, *more)

    def has_message(self, seconds):
        return self.behaviour() != "waits"

    def request_shutdown(self):
        self.world.log.append((self.arm, "", "dismiss"))

    def send(self, message):
        if isinstance(message, ServeTest):
            self.nodeid, self.calls = message.nodeid, 0
            self.queue.append(self.points()[0])
        elif isinstance(message, SetAffinity):
            self.world.can_pin.append((self.arm, message.cpu))
        elif isinstance(message, Resume):
            behaviour = self.behaviour()
            problems = {"fails": "AssertionError: not here", "held": "E  OSError: [Errno 98] Address already in use"}
            counts = "teardown: called twice" if behaviour == "counts" and self.calls > 1 else None
            self.queue.append(FinishedTest(problems.get(behaviour, counts), {}, []))

    def points(self):
        if self.behaviour() == "pointless":
            return [FinishedTest(None, {}, [])]
        return [PointReached("other" if self.behaviour() == "elsewhere" else "")]

    def behaviour(self):
        return self.world.behaviours.get((self.arm, self.nodeid))

    def measure(self, take: MeasureRequest, *, doing, limit):
        self.world.log.append((self.arm, self.nodeid, take.instrument))
        self.calls += take.iterations * take.rounds
        if self.behaviour() == "dies":
            raise ChildDied(doing, status=-11, arm=self.arm)
        if self.behaviour() == "fails" or (self.behaviour() == "stateful" and self.calls > 1):
            return CallRaised("FileExistsError: again")
        if take.instrument in ("memory", "blocks"):
            return MeasureResult({take.instrument: [1000] * take.rounds})
        wall = [50_000 * take.iterations] * take.rounds
        load = [round(self.world.load * value) for value in wall]
        return MeasureResult({"time": wall, "cpu": wall, "lost": [0] * take.rounds, "setup": wall, "load": load})

    def receive(self, *, doing, limit):
        if self.behaviour() == "hangs":
            raise ChildTimedOut(doing, limit=limit, arm=self.arm)
        return self.queue.pop(0)


class NoProof:
    """Counts what it was shown."""

    def __init__(self, error=None):
        self.error = error
        self.checks = []
        self.base_is_used = True

    def start_pair(self):
        self.checks.append("begin")

    def check(self, base, head):
        self.checks.append("check")
        if self.error:
            raise self.error


@pytest.fixture
def run(monkeypatch):
    def start(
        names,
        world,
        *,
        enough=2,
        max_passes=5,
        settings=SETTINGS,
        audit=None,
        until=Spent.LITTLE,
        more=(),
        exists_at_base=lambda *_test: False,
        known_of_more=None,
        **known,
    ):
        monkeypatch.setattr(module, "WorkerProcess", world)
        spendings, judged = [], []
        known_of_more = known_of_more or {}

        def judge(nodeid, pairs, spent):
            spendings.append(spent)
            judged.append(pairs)
            if pairs.head.processes >= enough or spent > until:
                return Comparison(nodeid, Verdict.UNCHANGED, (), pairs.head, "", pairs.pairing())
            return None

        ticks = count()
        runner = PairRunner(
            [
                *(MeasuredTest(name, f"/{name}.py", settings, 0.1, **known) for name in names),
                *(MeasuredTest(name, f"/{names[0]}.py", settings, 0.1, **known_of_more) for name in more),
            ],
            PairOptions(
                Launch([], None, None, arm="base"),
                Launch([], None, None, arm="head"),
                judge,
                audit or NoProof(),
                summarize=error_summary,
                revision="main (abc)",
                reasons={"a": "suspected"},
                report_progress=lambda _state: None,
                max_passes=max_passes,
                clock=lambda: float(next(ticks)),
            ),
            exists_at_base=exists_at_base,
        )
        runner.run()
        assert world.alive == []
        runner.spendings, runner.judged = spendings, judged
        return runner

    return start


def test_each_pair_is_fresh_and_serves_only_what_is_undecided(run):
    world = World()
    runner = run("ab", world, enough=3)
    assert world.started == [("base", ["a", "b"]), ("head", ["a", "b"])] * 3
    assert runner.processes == 6
    assert {name: item.measurement.processes for name, item in runner.comparisons.items()} == {"a": 3, "b": 3}


def test_arms_take_turns_and_pairs_begin_with_either(run):
    world = World()
    run("a", world, enough=2)
    assert world.slices("a").count("bhhb" * 20) == 1
    assert world.slices("a").count("hbbh" * 20) == 1


def test_both_are_pinned_to_the_same_cpu_another_one_for_each_pair(run):
    world = World()
    run("a", world, enough=3)
    assert [pin for pin in world.can_pin if pin[1] >= 0] == [(arm, cpu) for cpu in range(3) for arm in ("base", "head")]


def test_a_parallel_test_is_never_pinned_and_says_so(run):
    world = World(load=3.0)
    comparison = run("a", world).comparisons["a"]
    assert world.can_pin == []
    assert not comparison.pairing.pinned
    assert any("runs in parallel" in note for note in comparison.measurement.notes)


def test_where_nothing_can_be_pinned_nothing_is_probed(run):
    world = World(ready={"head": {"pins": False}, "base": {"pins": False}})
    comparison = run("a", world).comparisons["a"]
    assert world.can_pin == []
    assert not comparison.pairing.pinned


def test_another_interpreter_is_noted(run):
    comparison = run("a", World(ready={"base": {"python": "3.12.1"}})).comparisons["a"]
    assert any("3.11.0, the base on 3.12.1" in note for note in comparison.measurement.notes)


def test_the_verdict_says_what_it_was_measured_beside_and_why(run):
    comparisons = run("ab", World()).comparisons
    assert (comparisons["a"].pairing.revision, comparisons["a"].pairing.why) == ("main (abc)", "suspected")
    assert comparisons["b"].pairing.why is None


def test_a_test_that_the_base_cannot_collect_is_new(run):
    comparisons = run("ab", World({("base", "a"): "lost"})).comparisons
    assert comparisons["a"].verdict is Verdict.NEW
    assert "cannot import name 'new'" in comparisons["a"].reason
    assert comparisons["b"].verdict is Verdict.UNCHANGED


def test_a_test_that_the_base_has_and_cannot_run_is_incomparable(run):
    world = World({("base", "a"): "lost", ("base", "b"): "lost"})
    comparisons = run("abc", world, exists_at_base=lambda nodeid, path: (nodeid, path) == ("a", "/a.py")).comparisons
    assert comparisons["a"].verdict is Verdict.INCOMPARABLE
    assert "main (abc) has this test and cannot run it: a: ImportError" in comparisons["a"].reason
    assert "perf_base_command" in comparisons["a"].reason
    assert comparisons["b"].verdict is Verdict.NEW


def test_parameters_that_the_library_of_the_base_lacks_are_new(run):
    world = World(
        {("base", "a"): "lost"}, ready={"base": {"other_ids": {"a": "there this test has the parameters [x]"}}}
    )
    told = run("ab", world, exists_at_base=lambda *_test: True).comparisons["a"]
    assert told.verdict is Verdict.NEW
    assert told.reason == "not available with main (abc): there this test has the parameters [x]"


@pytest.mark.parametrize(("arm", "verdict"), [("base", Verdict.INCOMPARABLE), ("head", None)])
def test_a_process_that_means_another_test_is_not_believed(run, arm, verdict):
    world = World({(arm, "a"): "lost"}, ready={arm: {"unlike": {"a": "this test is another one"}}})
    told = run("ab", world).comparisons["a"]
    assert told.verdict is verdict
    assert "this test is another one" in (told.reason if arm == "base" else told.broken)


def test_a_test_that_the_head_cannot_collect_again_is_broken(run):
    comparisons = run("ab", World({("head", "a"): "lost", ("base", "a"): "lost"})).comparisons
    assert "cannot import name 'new'" in comparisons["a"].broken


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("fails", "fails with main (abc): AssertionError: not here"),
        ("elsewhere", "reaches other measurement points with main (abc)"),
        ("pointless", "reaches other measurement points with main (abc)"),
        ("dies", "the measuring process of the base was ended by SIGSEGV"),
        ("hangs", "the measuring process of the base did not respond within"),
    ],
)
def test_what_the_base_cannot_do_makes_a_test_incomparable(run, behaviour, reason):
    comparisons = run("ab", World({("base", "a"): behaviour})).comparisons
    assert comparisons["a"].verdict is Verdict.INCOMPARABLE
    assert reason in comparisons["a"].reason
    assert comparisons["b"].verdict is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("behaviour", "what"),
    [("fails", "AssertionError: not here"), ("dies", "of the head was ended by SIGSEGV"), ("hangs", "did not respond")],
)
def test_what_the_head_cannot_do_breaks_a_test(run, behaviour, what):
    comparisons = run("ab", World({("head", "a"): behaviour})).comparisons
    assert what in comparisons["a"].broken
    assert comparisons["b"].verdict is Verdict.UNCHANGED


def test_a_test_that_fails_in_both_is_the_heads_failure(run):
    comparison = run("a", World({("head", "a"): "fails", ("base", "a"): "fails"})).comparisons["a"]
    assert comparison.broken


def test_a_base_that_never_starts_leaves_everything_incomparable(run):
    world = World({("base", "start"): "dies"})
    comparisons = run("ab", world).comparisons
    assert {item.verdict for item in comparisons.values()} == {Verdict.INCOMPARABLE}
    assert "no conftest" in comparisons["a"].reason
    assert len(world.started) == 4, "it is tried twice"


@pytest.mark.parametrize("arm", ["base", "head"])
def test_a_test_that_fails_after_repeated_calls_is_served_once_per_call(run, arm):
    runner = run("a", World({(arm, "a"): "counts"}), enough=1)
    comparison = runner.comparisons["a"]
    assert runner.judged[0].base.conditions["single"] is runner.judged[0].head.conditions["single"] is True
    assert len(comparison.measurement.samples["time"].processes[0]) == 10
    assert "after repeated calls it fails: teardown: called twice" in comparison.measurement.notes[0]


@pytest.mark.parametrize("arm", ["base", "head"])
def test_a_stateful_test_is_served_once_per_call_in_turn(run, arm):
    world = World({(arm, "a"): "stateful"})
    comparison = run("a", world, enough=1).comparisons["a"]
    assert len(comparison.measurement.samples["time"].processes[0]) == 10
    assert comparison.measurement.conditions["single"]
    singles = "".join(name[0] for name, _test, word in world.log if word in ("load", "time"))
    assert singles.endswith("bhhb" * 5)


def test_the_code_of_each_arm_is_proven_after_collection_and_after_each_test(run):
    audit = NoProof()
    run("ab", World(), enough=2, audit=audit)
    assert audit.checks == ["begin", "check", "check", "check"] * 2


def test_a_base_that_uses_nothing_of_its_own_is_noted(run):
    audit = NoProof()
    audit.base_is_used = False
    comparison = run("a", World(), audit=audit).comparisons["a"]
    assert any("both arms ran the same code" in note for note in comparison.measurement.notes)


def test_the_wrong_code_ends_everything(run):
    error = WrongCode("base", "lib", "/head/lib.py", "that is this tree's", "set perf_base_command")
    with pytest.raises(WrongCode):
        run("ab", World(), audit=NoProof(error))


def test_the_budget_ends_a_test(run):
    """The clock ticks once per reading, so that measuring a test takes one second."""
    tight = resolve(marker={"budget": "3.5s"}, command_line={}, ini={})
    runner = run("a", World(), enough=99, max_passes=20, settings=tight)
    assert runner.comparisons["a"].measurement.processes == 3


def test_beyond_the_budget_a_suspect_goes_on_to_five_times_it(run):
    """Measuring a test takes one second."""
    tight = resolve(marker={"budget": "3.5s"}, command_line={}, ini={})
    runner = run("a", World(), enough=99, max_passes=30, settings=tight, until=Spent.BUDGET)
    assert runner.spendings == [Spent.LITTLE] * 2 + [Spent.BUDGET] * 14 + [Spent.ALL]


def test_the_last_pair_spends_all_however_large_the_budget(run):
    assert run("a", World(), enough=99, max_passes=4).spendings == [Spent.LITTLE] * 3 + [Spent.ALL]


def test_memory_is_taken_in_the_first_pairs_only(run):
    """It was no higher in them, so that no further pair can make it red."""
    world = World()
    run("a", world, enough=5)
    first, *_rest = [index for index, entry in enumerate(world.log) if entry[1:] == ("", "dismiss")][3:]
    words = [word for _arm, _test, word in world.log]
    assert "memory" in words[:first]
    assert "memory" not in words[first:]


def test_what_an_earlier_phase_found_out_is_not_found_out_again(run):
    world = World()
    comparison = run("a", world, iterations={"": 12}, parallel=False).comparisons["a"]
    assert comparison.measurement.iterations == {"": 12}
    assert "load" not in {word for _arm, _test, word in world.log}
    assert comparison.pairing.pinned


@pytest.mark.parametrize("arm", ["base", "head"])
def test_a_test_whose_arms_need_the_same_port_is_named(run, arm):
    runner = run("ab", World({(arm, "a"): "held"}))
    assert runner.collisions == {"a": "OSError: [Errno 98] Address already in use"}
    assert runner.comparisons["b"].verdict is Verdict.UNCHANGED


def test_an_arm_that_waits_sets_tests_aside_that_share_its_fixture(run):
    world = World({("head", "a"): "waits"})
    runner = run("ab", world)
    assert set(runner.collisions) == {"a"}
    assert "was not ready" in runner.collisions["a"]
    assert runner.comparisons["b"].verdict is Verdict.UNCHANGED
    server = {"shared_fixtures": frozenset({"server"})}
    sharing = run("a", World({("head", "a"): "waits"}), more=["c"], known_of_more=server, **server)
    assert set(sharing.collisions) == {"a", "c"}


@pytest.mark.parametrize("fixtures", [frozenset(), frozenset({"other"})])
def test_a_test_of_the_same_file_that_shares_no_fixture_is_measured_in_pairs(run, fixtures):
    known = {"shared_fixtures": fixtures}
    server = frozenset({"server"})
    runner = run("a", World({("head", "a"): "waits"}), more=["c"], known_of_more=known, shared_fixtures=server)
    assert set(runner.collisions) == {"a"}
    assert runner.comparisons["c"].verdict is Verdict.UNCHANGED
