"""The requests for profiles and their answers: what crosses the pipe to a measuring process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProfileRequest:
    """Request: profile `iterations` calls of the measured function."""

    kind: str
    """`calls` (every call, deterministic), `samples` (the stack, again and again) or `memory` (allocations by line)."""
    iterations: int
    root: str
    """The project's folder in this process: code in it is the project's, and named relative to it."""


@dataclass(frozen=True)
class ProfileResult:
    """Answer: a profile as plain data; which reader takes it depends on the request's kind."""

    profile: dict[str, object]
