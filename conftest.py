"""Test configuration of the project itself."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# What a shell runs in the background ignores Ctrl-C, and hands that down; the tests interrupt processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same code gets the same answer, however slow its machine is. To look further: --hypothesis-profile=default
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")
