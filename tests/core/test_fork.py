"""Reset of locks in forked children, and finalizers that run before it."""

from __future__ import annotations

import gc
import os

import pytest

from tests.tools.programs import run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_no_finalizer_runs_in_the_child_before_its_locks_are_reset():
    """The collector would run it during another library's handler; the lock is held by a thread of the parent."""
    program = """
    import gc, os, threading, time
    os.register_at_fork(after_in_child=lambda: [[] for _ in range(5000)])  # runs before the package's own handler
    from pytest_perfguard import ObjectPool
    pool = ObjectPool(object, initial=5, max_size=5)
    class Lease:
        def __init__(self):
            self.me = self
            self.thing = pool.acquire()
        def __del__(self):
            pool.release(self.thing)
    gc.disable()
    Lease()
    held = threading.Event()
    def hold():
        with pool._lock:
            held.set()
            time.sleep(3)
    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    gc.set_threshold(100)
    gc.enable()
    child = os.fork()
    if child == 0:
        gc.collect()
        os._exit(0 if gc.isenabled() and pool.acquire() else 1)
    end = time.monotonic() + 20
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
        time.sleep(0.01)
    if done == (0, 0):
        os.kill(child, 9)
    print(done[0] == child and done[1] == 0, gc.isenabled(), flush=True)
    os._exit(0)
    """
    assert run_program(program) == "True True"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_collector_that_is_disabled_stays_disabled():
    import pytest_perfguard.core.fork  # noqa: F401

    gc.disable()
    try:
        child = os.fork()
        if child == 0:
            os._exit(gc.isenabled())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not gc.isenabled()
    finally:
        gc.enable()
