"""The instruments of the measuring process: one for each kind of profile."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Final, Protocol

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.executor import CallStep
from pytest_perfguard.engine.profile.allocations import profile_allocations
from pytest_perfguard.engine.profile.calls import profile_calls
from pytest_perfguard.engine.profile.messages import ProfileRequest, ProfileResult
from pytest_perfguard.engine.profile.samples import sample_stacks


class _Profile(Protocol):
    def to_json(self) -> dict[str, object]: ...


_PROFILERS: Final[Mapping[str, Callable[[int, str], Generator[CallStep, Timing, _Profile]]]] = {
    "calls": profile_calls,
    "samples": sample_stacks,
    "memory": profile_allocations,
}


def take_profile(request: ProfileRequest) -> Generator[CallStep, Timing, ProfileResult]:
    """Take the profile that a request names.

    Raises
    ------
    ProtocolError
        for a kind that does not exist.
    """
    if request.kind not in _PROFILERS:
        raise ProtocolError(f"{request.kind!r} is no kind of profile (valid: {', '.join(_PROFILERS)})")
    profile = yield from _PROFILERS[request.kind](request.iterations, request.root)
    return ProfileResult(profile.to_json())
