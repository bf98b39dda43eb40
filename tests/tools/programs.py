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
