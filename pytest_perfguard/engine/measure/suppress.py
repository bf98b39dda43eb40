"""Keeping out of a measurement what pytest and the interpreter keep of each call: log records, warnings, output."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Final

from pytest_perfguard.core.originals import os

#: A log record without its values; what a growing buffer has taken beyond its content.
_RECORD_BYTES: Final = 500
_OVERALLOCATED: Final = 1.25


@contextlib.contextmanager
def suppress_capture(*, output: bool = True, records: bool = True) -> Iterator[None]:
    """Keep nothing of warnings, nor of output and log records, which are False for a test that looks at its own."""
    with contextlib.ExitStack() as stack:
        if output:
            stack.enter_context(_suppress_output())
        if records:
            stack.enter_context(_detach_handlers())
        stack.enter_context(_suppress_warnings())
        yield


def kept_by_pytest() -> int:
    """Bytes of what pytest keeps just now of the running test's log records and output: about so many, rather too many."""
    records = {id(record): record for handler in _handlers() for record in getattr(handler, "records", ())}
    values = {id(value): value for record in records.values() for value in vars(record).values()}
    streams = [getattr(handler, "stream", None) for handler in _handlers()]
    texts = [sys.getsizeof(stream.getvalue()) for stream in streams if isinstance(stream, io.StringIO)]
    captured = [stream.buffer for stream in (sys.stdout, sys.stderr) if type(stream).__module__ == "_pytest.capture"]
    output = [buffer.getbuffer().nbytes for buffer in captured if isinstance(buffer, io.BytesIO)]
    kept = len(records) * _RECORD_BYTES + sum(map(sys.getsizeof, values.values()))
    return kept + round(_OVERALLOCATED * sum((*texts, *output)))


def _handlers() -> list[logging.Handler]:
    return [handler for handler in logging.getLogger().handlers if type(handler).__module__ == "_pytest.logging"]


@contextlib.contextmanager
def _detach_handlers() -> Iterator[None]:
    """pytest's handlers keep every record of a test: with thousands of calls that is memory, and time."""
    root, handlers = logging.getLogger(), _handlers()
    for handler in handlers:
        root.removeHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.addHandler(handler)


@contextlib.contextmanager
def _suppress_warnings() -> Iterator[None]:
    """The filters hold as in the ordinary run, so that errors stay errors; what is only shown is dropped."""
    with warnings.catch_warnings():
        warnings.showwarning = _drop
        yield


def _drop(*_message: object, **_more: object) -> None:
    """Takes the place of `warnings.showwarning`."""


@contextlib.contextmanager
def _suppress_output() -> Iterator[None]:
    """File descriptors 1 and 2, and what stands for them in `sys`, go to the null device.

    A test that prints is called thousands of times, and `--capture=sys` keeps its output in memory.
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
