"""What is kept out of a measurement, and that it is put back."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from pytest_perfguard.engine.measure.isolation import isolate


def in_process(program: str) -> str:
    """Run in a process of its own: what is under test changes the whole process."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tracers_are_paused_and_put_back():
    program = """
import sys, threading
from pytest_perfguard.engine.measure.isolation import isolate
trace, profile = (lambda *a: None), (lambda *a: None)
sys.settrace(trace); sys.setprofile(profile); threading.settrace(trace)
with isolate():
    inside = sys.gettrace(), sys.getprofile(), threading.gettrace()
after = sys.gettrace(), sys.getprofile(), threading.gettrace()
sys.settrace(None); sys.setprofile(None); threading.settrace(None)
print(inside == (None, None, None), after == (trace, profile, trace))
"""
    assert in_process(program).split() == ["True", "True"]


def test_output_goes_nowhere_and_comes_back():
    program = """
import os, sys
from pytest_perfguard.engine.measure.isolation import isolate
print("before")
with isolate():
    print("inside"); os.write(1, b"raw"); os.system("echo child")
print("after")
"""
    assert in_process(program).split() == ["before", "after"]


def test_the_collector_stays_as_the_user_has_it():
    program = """
import gc
from pytest_perfguard.engine.measure.isolation import isolate
with isolate():
    first = gc.isenabled(), gc.get_freeze_count() > 0
gc.disable()
with isolate():
    second = gc.isenabled()
print(*first, second)
"""
    assert in_process(program).split() == ["True", "True", "False"]


def test_an_error_inside_puts_everything_back():
    program = """
import sys
from pytest_perfguard.engine.measure.isolation import isolate
trace = lambda *a: None
try:
    with isolate():
        raise KeyError
except KeyError:
    print("heard")
"""
    assert in_process(program).split() == ["heard"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12")
def test_monitoring_tools_are_paused_and_put_back():
    program = """
import sys
from pytest_perfguard.engine.measure.isolation import isolate
m = sys.monitoring
m.use_tool_id(3, "x"); m.set_events(3, m.events.CALL)
with isolate():
    inside = m.get_events(3)
print(inside, m.get_events(3) == m.events.CALL)
"""
    assert in_process(program).split() == ["0", "True"]


def test_threads_of_the_test_survive():
    with isolate():
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_process_that_inherited_deafness_hears_an_interrupt():
    program = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from pytest_perfguard.engine.measure.isolation import stop_with_parent
stop_with_parent()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("heard")
"""
    assert in_process(program).split() == ["heard"]
