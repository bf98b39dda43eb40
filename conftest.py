"""Test configuration of the project itself."""

from __future__ import annotations

import signal

pytest_plugins = ["pytester"]

# What a shell runs in the background ignores Ctrl-C, and hands that down; the tests interrupt processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
