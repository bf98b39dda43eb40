"""Nothing is kept of log records, warnings and output, and everything is put back."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings

from pytest_perfguard.engine.measure.suppress import Destinations, suppress_capture
from pytest_perfguard.plugin.capture import PYTEST_CAPTURE


def test_records_are_not_kept_and_handlers_come_back(caplog):
    root = logging.getLogger()
    before = list(root.handlers)
    with suppress_capture(capture=PYTEST_CAPTURE):
        logging.getLogger("x").warning("not kept")
    assert caplog.records == []
    assert root.handlers == before
    with suppress_capture(capture=PYTEST_CAPTURE, records=False):
        logging.getLogger("x").warning("kept")
    assert caplog.messages == ["kept"]


def test_warnings_are_dropped_and_errors_stay_errors(recwarn):
    with suppress_capture():
        warnings.simplefilter("always")
        warnings.warn("dropped", stacklevel=1)
    assert len(recwarn) == 0


def test_warnings_that_a_test_looks_at_are_left_alone(recwarn):
    with suppress_capture(shown_warnings=False):
        warnings.warn("seen", stacklevel=1)
    assert len(recwarn) == 1


def test_destinations_change_when_a_test_redirects_them():
    before = Destinations.now()
    assert Destinations.now() == before
    with contextlib.redirect_stdout(io.StringIO()):
        assert Destinations.now().output != before.output
    with warnings.catch_warnings(record=True):
        assert Destinations.now().warnings != before.warnings
    with warnings.catch_warnings():
        logging.captureWarnings(True)
        assert Destinations.now().warnings != before.warnings
        logging.captureWarnings(False)
    assert Destinations.now() == before


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
