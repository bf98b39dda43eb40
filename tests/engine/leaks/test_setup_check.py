"""The second check of a suspect, for a simulated test: no clock, no pytest."""

from __future__ import annotations

import random

import pytest

from pytest_perfguard.engine.leaks.setup_check import SetupGrowth, check_across_setups


class FakeTest:
    """Each call leaves something within its set-up, and something that outlives it; so does each set-up."""

    def __init__(self, *, set_up_ns=10_000_000, call_ns=1000, fails_at=None, refuses_many=False, noise=0, **kinds):
        self.kinds = kinds
        """Kind -> (per call until the teardown, per call for good, per set-up for good)."""
        self.set_up_ns, self.call_ns = set_up_ns, call_ns
        self.fails_at, self.refuses_many = fails_at, refuses_many
        self.noise = noise
        self.chance = random.Random(3)
        self.now = 0
        self.asked = []

    def check(self, budget_ns=8_000_000_000, **suspects):
        suspects = suspects or {kind: freed + kept for kind, (freed, kept, _each) in self.kinds.items()}
        check = check_across_setups(suspects, budget_ns, clock=lambda: self.now)
        answer = None
        while True:
            try:
                answer = self._set_up(check.send(answer))
            except StopIteration as stop:
                return stop.value

    def _set_up(self, asked):
        self.asked.append(asked)
        self.now += self.set_up_ns + asked.calls * self.call_ns
        if self.fails_at is not None and len(self.asked) >= self.fails_at:
            return SetupGrowth({}, {}, self.call_ns, "OSError: no more")
        if self.refuses_many and asked.calls > 1 and not asked.single_call_rounds:
            return SetupGrowth({}, {}, self.call_ns, "a call raised FileExistsError")
        return SetupGrowth(
            {kind: round(asked.calls * (freed + kept)) for kind, (freed, kept, _each) in self.kinds.items()},
            {
                kind: round(asked.calls * kept + each + self._some())
                for kind, (_freed, kept, each) in self.kinds.items()
            },
            self.call_ns,
        )

    def _some(self):
        return self.chance.randrange(self.noise) if self.noise else 0


def test_what_a_teardown_frees_is_released():
    found = FakeTest(memory=(72, 0, 0), sockets=(1, 0, 0)).check()
    assert (list(found.leaks), found.unsettled) == ([], None)
    assert found.released == {"memory": 72, "sockets": 1}
    assert found.setups == 10


def test_what_outlives_the_teardown_leaks_at_its_own_rate():
    found = FakeTest(memory=(72, 133, 0)).check()
    assert [(leak.kind, leak.per_call) for leak in found.leaks] == [("memory", 133)]
    assert found.released == {}


def test_what_a_set_up_itself_leaves_is_not_the_calls():
    found = FakeTest(memory=(500, 0, 50_000)).check()
    assert (list(found.leaks), found.released) == ([], {"memory": 500})


@pytest.mark.parametrize("rate", [5, 70, 1000, 200_000])
def test_what_pytest_keeps_of_a_run_more_or_less_is_no_leak_and_hides_none(rate):
    assert FakeTest(memory=(rate, 0, 0), noise=3000).check().leaks == []
    assert [leak.kind for leak in FakeTest(memory=(0, rate, 0), noise=3000).check().leaks] == ["memory"]


def test_a_rare_leak_takes_more_calls_in_a_set_up():
    test = FakeTest(files=(0, 1 / 50, 0))
    assert [leak.kind for leak in test.check().leaks] == ["files"]
    assert max(asked.calls for asked in test.asked) == 200


def test_what_takes_a_lot_is_called_less_often():
    test = FakeTest(memory=(0, 10_000_000, 0), sockets=(0, 5, 0))
    assert len(test.check().leaks) == 2
    assert max(asked.calls for asked in test.asked) == 2


def test_what_was_seen_by_the_first_process_only():
    found = FakeTest(memory=(0, 0, 0)).check(memory=1000.0)
    assert (list(found.leaks), found.released, found.unsettled) == ([], {}, None)


@pytest.mark.parametrize(
    ("set_up_ns", "call_ns"), [(400_000_000, 1000), (1_000_000, 200_000_000), (50_000_000, 50_000_000)]
)
def test_slow_ones_keep_to_the_budget(set_up_ns, call_ns):
    test = FakeTest(memory=(72, 0, 0), set_up_ns=set_up_ns, call_ns=call_ns)
    found = test.check()
    assert found.leaks == []
    assert found.released or found.unsettled
    assert test.now <= 8_000_000_000


def test_one_that_is_too_slow_says_what_it_needs():
    found = FakeTest(memory=(72, 0, 0), set_up_ns=2_000_000_000).check()
    assert (
        found.unsettled
        == "memory grew with each call; to find out whether that outlives the teardown takes a budget of 33 s"
    )


def test_a_set_up_that_serves_one_call_has_them_made_one_by_one():
    test = FakeTest(memory=(72, 0, 0), refuses_many=True)
    assert test.check().released == {"memory": 72}
    assert test.asked[-1].single_call_rounds


def test_a_test_that_cannot_be_set_up_again_says_so():
    found = FakeTest(memory=(72, 0, 0), fails_at=2).check()
    assert found.unsettled == "cannot be checked: when it is set up again, OSError: no more"


def test_whoever_is_refused_what_it_leaks_leaks():
    assert [leak.kind for leak in FakeTest(files=(0, 1, 0), fails_at=12).check().leaks] == ["files"]
