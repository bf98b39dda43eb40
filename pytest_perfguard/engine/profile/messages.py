"""Requests for profiles and their results, as they cross the pipe of a measuring process."""

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
    """Response: a profile as plain data, in the form of the request's kind."""

    profile: dict[str, object]
