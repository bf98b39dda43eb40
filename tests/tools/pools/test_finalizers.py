"""Pools that finalizers, signal handlers and reprs call while the pool's lock is held."""

from __future__ import annotations

import sys

import pytest

from pytest_perfguard import ConnectionPool, NotLent, ObjectPool, PoolTimeout
from tests.tools.programs import run_program


class Thing:
    def close(self):
        pass


#: Leases in reference cycles: the collector runs their `__del__` anywhere. A low threshold makes that frequent.
LEASES = """
import gc, sys, threading, time
from pytest_perfguard import ConnectionPool, ObjectPool

class Thing:
    def close(self):
        pass

pool = {
    "object": lambda: ObjectPool(Thing, initial=0, max_size=1000, timeout=20),
    "reset": lambda: ObjectPool(Thing, initial=0, max_size=1000, timeout=20, reset=lambda thing: [[], []]),
    "connection": lambda: ConnectionPool(Thing, min_size=0, max_size=1000, timeout=20, check=lambda thing: True),
}[sys.argv[1]]()

class Lease:
    def __init__(self):
        self.me = self
        self.thing = pool.acquire()
    def __del__(self):
        pool.stats(), repr(pool), pool.not_returned()
        pool.release(self.thing)

end = time.monotonic() + 1
def work():
    while time.monotonic() < end:
        for _ in range(100):
            Lease()
            pool.stats()
        gc.collect()  # else leases that grew old hold all objects

gc.set_threshold(20, 5, 1000)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    gc.collect()  # where all threads wait for objects that garbage holds, none of them runs the collector
    time.sleep(0.02)
until = time.monotonic() + 60
while pool.stats().in_use and time.monotonic() < until:
    gc.collect()  # does nothing while the pool's own thread collects
    time.sleep(0.01)
stats = pool.stats()
print(stats.in_use, stats.waiting, stats.timeouts, stats.acquisitions > 100)
"""


@pytest.mark.parametrize("kind", ["object", "reset", "connection"])
def test_leases_that_the_collector_releases_neither_hang_nor_get_lost(kind):
    assert run_program(LEASES, kind, timeout=120) == "0 0 0 True"


#: A signal handler runs between any two instructions of the main thread, also within a step.
SIGNALS = """
import signal, sys, time
from pytest_perfguard import ConnectionPool, ObjectPool, PoolTimeout

class Thing:
    def close(self):
        pass

pool = ObjectPool(Thing, max_size=3) if sys.argv[1] == "object" else ConnectionPool(Thing, max_size=3)
block = getattr(pool, "item", None) or pool.connection
refused = served = 0
handling = False

def handler(number, frame):
    global refused, served, handling
    if handling:
        return
    handling = True
    try:
        with block(timeout=0.01):  # the interrupted thread may be starting the thread that connects
            served += 1
    except PoolTimeout:
        refused += 1
    pool.stats()
    handling = False

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
end = time.monotonic() + 0.7
while time.monotonic() < end:
    with block():
        pool.stats()
signal.setitimer(signal.ITIMER_REAL, 0)
print(pool.stats().in_use, served > 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs setitimer")
@pytest.mark.parametrize("kind", ["object", "connection"])
def test_a_signal_handler_that_borrows_is_served_or_refused_and_never_hangs(kind):
    assert run_program(SIGNALS, kind, timeout=60) == "0 True"


def test_within_a_step_of_its_own_thread_a_release_waits_and_an_acquisition_is_refused():
    pool = ObjectPool(dict, initial=2, max_size=2)
    thing = pool.acquire()
    seen = []

    def step():
        pool.release(thing)  # as a finalizer would
        seen.append(pool.stats().in_use)
        with pytest.raises(PoolTimeout, match="finalizer or a signal handler"):
            pool.acquire()

    pool._step(step)
    assert seen == [1]  # not in the middle of the step
    assert pool.stats().in_use == 0


@pytest.mark.parametrize("kind", [ObjectPool, ConnectionPool])
def test_a_call_that_would_wait_for_its_own_thread_is_refused_at_once(kind):
    """Here the function that makes an object acquires, as a finalizer does that runs in the middle of it."""
    refused, pool = [], None

    def create():
        try:
            pool.acquire(timeout=None)
        except PoolTimeout as error:
            refused.append(str(error))
        return Thing()

    pool = kind(create, max_size=1, **{"initial" if kind is ObjectPool else "min_size": 0})
    pool.release(pool.acquire(timeout=60))
    assert "would wait for its own thread" in refused[0]
    assert pool.stats().in_use == pool.stats().waiting == 0
    pool.close()


def test_a_call_in_the_middle_of_another_is_served_where_an_object_is_free():
    pool = ObjectPool(Thing, initial=1, max_size=2)
    with pool._work():  # as in a finalizer that runs while `create` or `reset` of the same thread does
        free, made = pool.acquire(), pool.acquire()
        with pytest.raises(PoolTimeout, match="would wait for its own thread"):
            pool.acquire(timeout=None)
    pool.release(free)
    pool.release(made)
    assert pool.stats().idle == 2


def test_an_error_of_a_queued_release_is_logged(caplog):
    pool = ObjectPool(dict, initial=1, max_size=1)
    pool._step(pool.release, {"not": "the pool's"})
    assert "a call by a finalizer, such as a release, failed" in caplog.text
    assert pool.acquire(0) == {}


@pytest.mark.parametrize("kind", [ObjectPool, ConnectionPool])
def test_a_finalizer_may_close_the_pool_during_a_step_of_its_thread(kind):
    pool = kind(dict)
    pool._step(pool.close)
    assert pool.closed


@pytest.mark.parametrize("make", [lambda create: ObjectPool(create), lambda create: ConnectionPool(create, min_size=0)])
def test_a_repr_may_use_the_pool_and_may_fail(make):
    class Curious:
        def __repr__(self):
            pool.stats()
            raise ValueError("no repr")

        def close(self):
            pass

    pool = make(Curious)
    with pytest.raises(NotLent, match="<Curious at 0x[0-9a-f]+> is not one that this pool has lent"):
        pool.release(Curious())
    pool.acquire()
    assert "Curious at" in pool.not_returned()[0].lines()[0]
    pool.close()
