"""The leak check of a simulated process: no clock, no tracing."""

from __future__ import annotations

import contextlib

import pytest

from pytest_perfguard.core.errors import CannotRepeat
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.leaks import check as module
from pytest_perfguard.engine.leaks.check import LeakCheckOptions, check_leaks
from pytest_perfguard.engine.leaks.levels import LevelSeries
from pytest_perfguard.engine.measure.executor import CallStep


class FakeProcess:
    """Stands for the meter; its levels are functions of the number of calls made so far."""

    def __init__(self, *, call_ns=1000, raises_at=(), **levels):
        self.levels = {"memory": 0, "native": 0, "mapped": 0, "files": 5, **levels}
        self.calls = 0
        self.call_ns = call_ns
        self.now = 0
        self.raises_at = raises_at
        self.traced = []
        self.setups = 0

    @contextlib.contextmanager
    def open(self):
        yield

    def trace(self, frames):
        self.traced.append(frames)

    def settle(self):
        pass

    def held(self):
        return {"files": {(number, f"/file/{number}"): None for number in range(self._level("files"))}}

    def resident_bytes(self):
        return 10_000_000 + self._level("memory"), 5_000_000

    def series(self, window, *, counted):
        kinds = [kind for kind in self.levels if kind != "untraced" and (counted or kind != "files")]
        return LevelSeries(window, lambda: {kind: self._level(kind) for kind in kinds})

    def cross_check_series(self, window):
        held = self.levels.get("untraced", self.levels["memory"])
        return LevelSeries(window, lambda: {"blocks": 50 + (held(self.calls) if callable(held) else held)})

    def _level(self, kind):
        level = self.levels[kind]
        return level(self.calls) if callable(level) else level

    def run(self, **order):
        """Obey the check as the drive does; returns what it found."""
        steps = check_leaks(LeakCheckOptions(**order), self, clock=lambda: self.now)
        answer = None
        while True:
            try:
                step = steps.send(answer)
                answer = self._obey(step)
            except StopIteration as stop:
                return stop.value
            while isinstance(answer, Exception):
                try:
                    answer = self._obey(steps.throw(answer))
                except StopIteration as stop:
                    return stop.value

    def _obey(self, step: CallStep):
        if not step.iterations:
            self.setups += not step.settle
            return Timing(0, 0)
        for _ in range(step.iterations):
            self.calls += 1
            self.now += self.call_ns
            if self.calls in self.raises_at:
                return ValueError(f"call {self.calls}")
        return Timing(step.iterations * self.call_ns, 0)


@pytest.fixture(autouse=True)
def no_explanation(monkeypatch):
    def explain(lines, keepers, meter, calls, number):
        yield from calls.make(number)
        lines.update((kind, [f"about {kind}"]) for kind in ("memory", "native", "mapped", "files"))

    monkeypatch.setattr(module, "explain", explain)


def kinds(examination):
    return [leak.kind for leak in examination.leaks]


def test_a_clean_process_takes_100_counted_calls():
    process = FakeProcess()
    found = process.run()
    assert (found.leaks, found.calls, found.unsettled) == ([], 100, None)
    assert process.calls == 2 + 20 + 20 + 100  # first calls, warm-up, idle window, five windows


def test_a_steady_leak_is_measured_and_explained():
    found = FakeProcess(memory=lambda calls: calls * 64).run()
    assert [(leak.kind, leak.per_call, leak.lines) for leak in found.leaks] == [("memory", 64.0, ["about memory"])]
    assert found.calls == 100
    assert found.rss > 0


def test_what_is_left_open_is_looked_at_longer():
    """One event in the first window could be a leak that is rare."""
    found = FakeProcess(memory=lambda calls: 5000 if calls > 70 else 0).run()
    assert (found.leaks, found.calls) == ([], 400)


def test_a_rare_leak_is_found_then():
    found = FakeProcess(memory=lambda calls: 1000 * (calls // 70)).run()
    assert (kinds(found), found.calls) == (["memory"], 400)


@pytest.mark.parametrize("bound", [150, 1000, 10_000])
def test_a_cache_with_a_bound_is_no_leak(bound):
    found = FakeProcess(memory=lambda calls: 100 * min(calls, bound)).run()
    assert found.leaks == []


def test_what_only_the_tracer_keeps_is_no_leak():
    """The tracer keeps the name of every allocating file, and repeatedly compiled code has new ones."""
    process = FakeProcess(memory=lambda calls: calls * 59, untraced=3)
    assert process.run().leaks == []


def test_a_large_leak_is_not_followed_until_memory_is_gone():
    process = FakeProcess(memory=lambda calls: calls * 10_000_000)
    assert kinds(process.run()) == ["memory"]
    assert process.calls < 300


def test_a_suspect_of_a_slow_function_is_left_open_and_told_what_it_needs():
    """It may be something that is full after 1,000 calls; the limits count calls, not seconds."""
    process = FakeProcess(memory=lambda calls: calls * 1000, call_ns=50_000_000)
    found = process.run()
    assert found.leaks == []
    assert found.unsettled == (
        "memory grew with each call so far; to find out whether that has a bound takes 1500 calls, a budget of 137 s"
    )
    assert process.now < 20_000_000_000
    again = FakeProcess(memory=lambda calls: calls * 1000, call_ns=50_000_000)
    assert kinds(again.run(budget_ns=137_000_000_000)) == ["memory"]
    assert again.now < 137_000_000_000


@pytest.mark.parametrize("call_ns", [1_000, 2_000_000, 20_000_000, 60_000_000])
@pytest.mark.parametrize("bound", [200, 1_000])
def test_what_has_a_bound_is_no_leak_however_slow_a_call_is(bound, call_ns):
    process = FakeProcess(memory=lambda calls: 1100 * min(calls, bound), call_ns=call_ns)
    assert process.run().leaks == []
    assert process.now < 20_000_000_000


@pytest.mark.parametrize("kind", ["memory", "files", "native", "mapped"])
@pytest.mark.parametrize("call_ns", [10_000, 30_000_000, 300_000_000, 4_000_000_000])
def test_a_check_keeps_to_its_budget(kind, call_ns):
    process = FakeProcess(**{kind: lambda calls: calls * 5000}, call_ns=call_ns)
    process.run(budget_ns=10_000_000_000)
    assert process.now <= 10_000_000_000


def test_a_check_takes_no_more_than_its_share_of_the_budget():
    process = FakeProcess(memory=lambda calls: calls * 5000, call_ns=30_000_000)
    process.run(budget_ns=10_000_000_000, share=0.5)
    assert process.now <= 5_000_000_000


class SlowingProcess(FakeProcess):
    """Each call takes longer than the one before, as where each looks through what earlier ones left."""

    def _obey(self, step: CallStep):
        self.call_ns = 1_000_000 + 40_000 * self.calls
        return super()._obey(step)


def test_a_check_of_calls_that_become_slower_keeps_to_its_budget():
    process = SlowingProcess(memory=lambda calls: calls * 1000)
    found = process.run(budget_ns=30_000_000_000)
    assert process.now < 30_000_000_000
    assert found.leaks == []
    assert found.unsettled.startswith(
        "memory grew with each call so far; to find out whether that has a bound takes 1500"
    )


def test_a_leak_of_calls_that_become_slower_is_a_leak_once_enough_were_made():
    """A quick call is planned to be made 20,000 times; 1,500 are enough."""

    class Slowing(FakeProcess):
        def _obey(self, step):
            self.call_ns = 50_000 if self.calls < 300 else 500_000
            return super()._obey(step)

    process = Slowing(memory=lambda calls: calls * 1000)
    assert kinds(process.run(budget_ns=8_000_000_000)) == ["memory"]
    assert process.now < 8_500_000_000


@pytest.mark.parametrize("enlarged_after", [50, 65, 85, 105, 125])
@pytest.mark.parametrize("by", [36_000, 330_000, 5_000_000])
def test_a_leak_whose_container_is_enlarged_early_is_a_leak(enlarged_after, by):
    found = FakeProcess(memory=lambda calls: 165 * calls + by * (calls > enlarged_after)).run()
    assert kinds(found) == ["memory"]


def test_memory_is_followed_for_longer_than_what_came_with_it_and_has_a_bound():
    """A pool of 30 files is full soon; that number of calls does not settle the memory."""
    found = FakeProcess(memory=lambda calls: 100 * min(calls, 1000), files=lambda calls: 5 + min(calls // 5, 35)).run()
    assert found.leaks == []


def test_what_is_counted_comes_first_and_is_followed_for_a_hundred_things():
    process = FakeProcess(memory=lambda calls: calls * 500, files=lambda calls: 5 + calls)
    found = process.run()
    assert kinds(found) == ["files", "memory"]
    assert found.leaks[0].per_call == 1.0
    assert process.calls < 320


def test_a_pool_of_threads_that_fills_up_slowly_is_no_leak():
    found = FakeProcess(files=lambda calls: 5 + min(calls // 10, 30)).run()
    assert found.leaks == []


def test_whoever_is_refused_while_a_suspect_is_followed_leaks():
    found = FakeProcess(files=lambda calls: 5 + calls, raises_at=range(180, 5000)).run()
    assert kinds(found) == ["files"]
    assert found.leaks[0].lines[-1] == "the check ended early, because a call raised ValueError: call 180"


def test_whoever_is_refused_while_it_is_explained_leaks():
    found = FakeProcess(files=lambda calls: 5 + calls, raises_at=range(275, 5000)).run()
    assert kinds(found) == ["files"]
    assert found.leaks[0].lines[-1] == "the check ended early, because a call raised ValueError: call 275"


def test_memory_that_grew_until_a_call_raised_is_left_open():
    found = FakeProcess(memory=lambda calls: calls * 500, raises_at=range(180, 50_000)).run()
    assert found.leaks == []
    assert found.unsettled == "memory grew, and a later call raised ValueError: call 180"


def test_what_c_code_holds_is_not_known_where_a_later_call_raises():
    found = FakeProcess(native=lambda calls: calls * 112, raises_at=range(150, 50_000)).run()
    assert (found.leaks, found.unsettled) == ([], None)
    assert list(found.notes) == [
        "note: the memory of C code is unknown, because a later call raised ValueError: call 150"
    ]


def test_the_c_heap_is_judged_without_tracing():
    process = FakeProcess(native=lambda calls: calls * 112)
    assert kinds(process.run()) == ["native"]
    assert process.traced == [1, 0]


def test_what_tracing_takes_of_the_c_heap_is_no_leak():
    process = FakeProcess()
    process.levels["native"] = lambda calls: calls * 50 if process.traced == [1] else 0
    assert process.run().leaks == []


def test_the_c_heap_is_not_asked_where_python_itself_leaks():
    found = FakeProcess(memory=lambda calls: calls * 1000, native=lambda calls: calls * 1100).run()
    assert kinds(found) == ["memory"]


@pytest.mark.parametrize(
    ("levels", "line"),
    [
        ({"mapped": lambda calls: 65_536 * calls}, "with it grows 65.5 KB of mapped memory (address space) per call"),
        ({"native": lambda calls: 10_000 * calls}, "with it grows 10.0 KB of native memory (the C heap) per call"),
        ({"mapped": lambda calls: 900 * calls}, ""),
        ({"native": lambda calls: 1_000_000 if calls > 60 else 0}, ""),
    ],
)
def test_a_leak_of_objects_that_hold_more_outside_of_python_has_a_line(levels, line):
    (leak,) = FakeProcess(memory=lambda calls: 100 * calls, **levels).run().leaks
    assert [one.partition(", which")[0] for one in leak.lines if "with it grows" in one] == [line] * bool(line)


def test_address_space_counts_by_pages():
    assert kinds(FakeProcess(mapped=lambda calls: calls * 65536).run()) == ["mapped"]
    assert FakeProcess(mapped=lambda calls: calls * 64).run().leaks == []


def test_a_slow_function_is_called_less_often():
    process = FakeProcess(call_ns=1_000_000_000)
    found = process.run(budget_ns=20_000_000_000)
    assert (found.calls, found.leaks) == (5, [])
    assert process.calls <= 10


def test_one_that_is_too_slow_says_what_it_needs():
    found = FakeProcess(call_ns=30_000_000_000).run(budget_ns=20_000_000_000)
    assert (found.calls, list(found.leaks)) == (0, [])
    assert found.unsettled == "a call takes too long: a leak check of it needs a budget of 420 s"


def test_what_the_budget_leaves_open_is_said():
    found = FakeProcess(call_ns=1_000_000_000, memory=lambda calls: 5000 if calls > 5 else 0).run()
    assert found.leaks == []
    assert found.unsettled == "memory grew a little; to find out whether that continues takes a budget of 46 s"


def test_a_function_that_cannot_be_called_again():
    with pytest.raises(CannotRepeat, match="a later call raised ValueError: call 2;"):
        FakeProcess(raises_at=range(2, 1000)).run()


def test_a_setup_that_serves_one_call_is_called_before_each():
    process = FakeProcess(raises_at=(4,))  # the second call of the first window
    assert process.run().calls == 100
    assert process.setups > 120


def test_whoever_is_refused_what_it_leaks_leaks():
    """A server gives out 100 connections, a process 1,024 descriptors."""
    found = FakeProcess(files=lambda calls: 5 + calls, raises_at=range(95, 1000)).run()
    assert kinds(found) == ["files"]
    assert "the check ended early, because a call raised ValueError: call 95" in found.leaks[0].lines


def test_any_other_error_in_the_middle_ends_the_check():
    with pytest.raises(CannotRepeat, match="call 95"):
        FakeProcess(raises_at=range(95, 1000)).run()
