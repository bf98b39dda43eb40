"""pytest's capture of a test's log records and output, and its report of a failure, for the engine."""

from __future__ import annotations

import io
import logging
import sys
from typing import Final

from pytest_perfguard.engine.measure.suppress import RunnerCapture

#: Bytes of a log record without its values; memory that a growing buffer takes in proportion to its content.
_RECORD_BYTES: Final = 500
_OVERALLOCATION: Final = 1.25


class PytestCapture(RunnerCapture):
    """Log records in pytest's handlers, and output in its capture buffers."""

    def handlers(self) -> list[logging.Handler]:
        return [handler for handler in logging.getLogger().handlers if type(handler).__module__ == "_pytest.logging"]

    def stored_bytes(self) -> int:
        handlers = self.handlers()
        records = {id(record): record for handler in handlers for record in getattr(handler, "records", ())}
        values = {id(value): value for record in records.values() for value in vars(record).values()}
        streams = [getattr(handler, "stream", None) for handler in handlers]
        texts = [sys.getsizeof(stream.getvalue()) for stream in streams if isinstance(stream, io.StringIO)]
        buffers = [stream.buffer for stream in (sys.stdout, sys.stderr) if type(stream).__module__ == "_pytest.capture"]
        output = [buffer.getbuffer().nbytes for buffer in buffers if isinstance(buffer, io.BytesIO)]
        stored = len(records) * _RECORD_BYTES + sum(map(sys.getsizeof, values.values()))
        return stored + round(_OVERALLOCATION * sum((*texts, *output)))


PYTEST_CAPTURE: Final = PytestCapture()


def error_summary(report: str) -> str:
    """Return the line of pytest's report of a failure that names the error: the first of its last lines marked with E."""
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    is_error = [line.startswith("E  ") for line in lines]
    if True not in is_error:
        return lines[-1] if lines else ""
    last = len(lines) - 1 - is_error[::-1].index(True)
    while last and is_error[last - 1]:
        last -= 1
    return lines[last].removeprefix("E").strip()
