"""Programs in processes of their own, with a time limit: a hang fails the test quickly."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def run_program(code: str, *arguments: str, timeout: float = 60) -> str:
    """Run a program and return its output."""
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "faulthandler",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            textwrap.dedent(code),
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.strip()


#: Forks while threads use a tool. The code before it defines `use()`, and `check()`, which the children call.
_FORK_LOOP = """
import os, signal, sys, threading

def keep_using():
    while True:
        use()

for _ in range(4):
    threading.Thread(target=keep_using, daemon=True).start()
counts = {"fine": 0, "wrong": 0, "hangs": 0}
for _ in range(60):
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            check()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    counts["hangs" if os.WIFSIGNALED(status) else "wrong" if os.WEXITSTATUS(status) else "fine"] += 1
print(counts)
os._exit(0)
"""


def outcomes_of_children(definitions: str, *arguments: str) -> str:
    """Return how many of 60 forked children of a busy parent pass `check()`, fail, and hang."""
    return run_program(textwrap.dedent(definitions) + _FORK_LOOP, *arguments, timeout=120)


#: Result of `outcomes_of_children` where nothing is wrong.
ALL_FINE = "{'fine': 60, 'wrong': 0, 'hangs': 0}"
