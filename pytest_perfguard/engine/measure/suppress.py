"""Keep log records, warnings and output of the measured calls from being captured, which takes memory and time."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pytest_perfguard.core.originals import os


class RunnerCapture:
    """The log records and the output that the surrounding test runner captures. This class stands for none."""

    def handlers(self) -> Sequence[logging.Handler]:
        """Return the handlers of the root logger that store records."""
        return ()

    def stored_bytes(self) -> int:
        """Return an estimate, rounded up, of the bytes that the runner holds for the running test."""
        return 0


NO_CAPTURE = RunnerCapture()


class Destinations(NamedTuple):
    """Where this process sends its output and its warnings."""

    output: tuple[object, object]
    warnings: tuple[object, object]

    @classmethod
    def now(cls) -> Destinations:
        # `catch_warnings(record=True)` replaces the private function, `logging.captureWarnings` the public one.
        return cls((sys.stdout, sys.stderr), (warnings.showwarning, getattr(warnings, "_showwarnmsg_impl", None)))


@contextlib.contextmanager
def suppress_capture(
    *, capture: RunnerCapture = NO_CAPTURE, output: bool = True, records: bool = True, shown_warnings: bool = True
) -> Iterator[None]:
    """Drop output, log records and warnings inside the block.

    `output`, `records` and `shown_warnings` are False for a test that examines its own.
    """
    with contextlib.ExitStack() as stack:
        if output:
            stack.enter_context(_suppress_output())
        if records:
            stack.enter_context(_detach_handlers(capture))
        if shown_warnings:
            stack.enter_context(_suppress_warnings())
        yield


@contextlib.contextmanager
def _detach_handlers(capture: RunnerCapture) -> Iterator[None]:
    root, handlers = logging.getLogger(), capture.handlers()
    for handler in handlers:
        root.removeHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.addHandler(handler)


@contextlib.contextmanager
def _suppress_warnings() -> Iterator[None]:
    """Drop warnings that would be shown. The filters stay, so that a warning turned into an error still raises."""
    with warnings.catch_warnings():
        warnings.showwarning = _drop
        yield


def _drop(*_message: object, **_more: object) -> None:
    """Replacement of `warnings.showwarning`."""


@contextlib.contextmanager
def _suppress_output() -> Iterator[None]:
    """Redirect file descriptors 1 and 2, `sys.stdout` and `sys.stderr` to the null device.

    A test that prints is called thousands of times, and a runner may keep its output in memory.
    """
    streams = sys.stdout, sys.stderr
    for stream in streams:
        stream.flush()
    saved = [(fd, os.dup(fd)) for fd in (1, 2)]
    with io.TextIOWrapper(io.FileIO(os.open(os.devnull, os.O_WRONLY), "w"), encoding="utf-8") as null:
        try:
            for fd, _copy in saved:
                os.dup2(null.fileno(), fd)
            sys.stdout = sys.stderr = null
            yield
        finally:
            if sys.stdout is null:
                sys.stdout = streams[0]
            if sys.stderr is null:
                sys.stderr = streams[1]
            for stream in streams:
                stream.flush()
            for fd, copy in saved:
                os.dup2(copy, fd)
                os.close(copy)
