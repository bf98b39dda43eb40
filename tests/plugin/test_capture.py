"""What pytest captures is sized, and its report of a failure is summarized."""

from __future__ import annotations

import logging

import pytest

from pytest_perfguard.plugin.capture import PYTEST_CAPTURE, error_summary


def test_what_pytest_stores_is_sized(caplog, capsys):
    before = PYTEST_CAPTURE.stored_bytes()
    logging.getLogger("x").warning("x" * 10_000)
    print("y" * 5_000)
    grown = PYTEST_CAPTURE.stored_bytes() - before
    capsys.readouterr()
    caplog.clear()  # a failure would show it all
    # The message, its formatted text in two handlers, and the output; buffers take a quarter more than they hold.
    assert grown == pytest.approx(10_000 + 1.25 * (2 * 10_000 + 5_000), abs=3_000)


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ("call: def test():\n>   f(1)\nE   TypeError: no\nE   hint\n\ntest_a.py:3: TypeError", "TypeError: no"),
        (
            "test_a.py: ImportError while importing\nE   ImportError: cannot import name 'x'",
            "ImportError: cannot import name 'x'",
        ),
        ("a\n  b \n\n", "b"),
        ("", ""),
    ],
)
def test_a_reason_is_one_line(report, line):
    assert error_summary(report) == line
