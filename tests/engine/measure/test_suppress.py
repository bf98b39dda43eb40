"""Nothing is kept of log records, warnings and output, and everything is put back."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings

import pytest

from pytest_perfguard.engine.measure.suppress import kept_by_pytest, suppress_capture


def test_records_are_not_kept_and_handlers_come_back(caplog):
    root = logging.getLogger()
    before = list(root.handlers)
    with suppress_capture():
        logging.getLogger("x").warning("not kept")
    assert caplog.records == []
    assert root.handlers == before
    with suppress_capture(records=False):
        logging.getLogger("x").warning("kept")
    assert caplog.messages == ["kept"]


def test_warnings_are_dropped_and_errors_stay_errors(recwarn):
    with suppress_capture():
        warnings.simplefilter("always")
        warnings.warn("dropped", stacklevel=1)
    assert len(recwarn) == 0


def test_output_goes_nowhere_and_comes_back(capfd):
    print("before")
    with suppress_capture():
        print("inside")
        os.write(1, b"raw")
    print("after")
    assert capfd.readouterr().out == "before\nafter\n"


def test_output_that_a_test_looks_at_is_left_alone(capsys):
    with suppress_capture(output=False):
        print("seen")
    assert capsys.readouterr().out == "seen\n"


def test_a_stream_that_was_replaced_inside_is_left_alone(capfd):
    kept = sys.stdout
    mine = io.StringIO()
    with suppress_capture():
        sys.stdout = mine
    assert sys.stdout is mine
    sys.stdout = kept


def test_what_pytest_keeps_is_sized(caplog, capsys):
    before = kept_by_pytest()
    logging.getLogger("x").warning("x" * 10_000)
    print("y" * 5_000)
    grown = kept_by_pytest() - before
    capsys.readouterr()
    caplog.clear()  # a failure would show it all
    # The message, its formatted text in two handlers, and the output; buffers take a quarter more than they hold.
    assert grown == pytest.approx(10_000 + 1.25 * (2 * 10_000 + 5_000), abs=3_000)
