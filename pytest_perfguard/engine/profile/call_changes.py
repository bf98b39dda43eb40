"""Find the functions that one of two trees calls more often, and the callers that are the reason. Pure.

Numbers of calls are exact and need no clock. A function that is called 40 times as often may be called by another one that
is called 40 times as often itself: the reason is the caller that makes more calls each time that it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pytest_perfguard.core.explanation import CallChange, Location
from pytest_perfguard.engine.profile.model import CallProfile, Cost, Edge, Function

#: Tolerances of a mean number of calls, as a share and in calls: a cache or a collection makes iterations differ.
_SAME_SHARE: Final = 0.02
_SAME_CALLS: Final = 0.05
#: A caller makes more calls of a function each time if their number grew by more than this factor.
_MORE_EACH_TIME: Final = 1.05
_NO_COST: Final = Cost(0.0, 0.0, 0.0)
_NO_EDGE: Final = Edge(0.0, 0.0)


def is_called_more(before: float, now: float) -> bool:
    """Return whether a function is called more often now, beyond what iterations differ by."""
    return now > before * (1 + _SAME_SHARE) and now - before >= _SAME_CALLS


class CallChanges:
    """The call graphs of both trees."""

    def __init__(self, base: CallProfile, head: CallProfile) -> None:
        self._base = base
        self._head = head
        self._callers: dict[Function, list[Function]] = {}
        for caller, callee in {**head.edges, **base.edges}:
            self._callers.setdefault(callee, []).append(caller)

    def base_calls(self, function: Function) -> float:
        return self._base.costs.get(function, _NO_COST).calls

    def head_calls(self, function: Function) -> float:
        return self._head.costs.get(function, _NO_COST).calls

    def change(self, function: Function) -> CallChange | None:
        """Return the numbers of calls where they differ."""
        before, now = self.base_calls(function), self.head_calls(function)
        return CallChange(before, now) if is_called_more(before, now) or is_called_more(now, before) else None

    def change_between(self, caller: Function, callee: Function) -> CallChange | None:
        """Return the numbers of calls that one function makes of another one, where they differ."""
        before, now = (
            self._edge(self._base.edges, caller, callee).calls,
            self._edge(self._head.edges, caller, callee).calls,
        )
        return CallChange(before, now) if is_called_more(before, now) or is_called_more(now, before) else None

    def is_resumed(self, function: Function) -> bool:
        """Return whether the function is a generator or coroutine, whose calls are its resumptions."""
        return self._cost(function).resumed

    def location(self, function: Function) -> Location:
        """Return the place of the function in the head; of a removed function, its place in the base."""
        cost = self._cost(function)
        return Location(
            function.place, cost.line if function.ours else 0, function.name, cost.end if function.ours else 0
        )

    def responsible(self, function: Function) -> tuple[Function | None, Function]:
        """Return the project's function that makes more calls each time, and the one that it calls on the way to `function`.

        The caller is None where the function calls itself, or nothing in the project calls it.
        """
        node, shown = function, function
        seen = {function}
        while (caller := self._grown_caller(node)) is not None and caller not in seen:
            seen.add(caller)
            if not self._calls_more_each_time(caller, node):
                node = caller
                shown = caller if caller.ours else shown
                continue
            owner = caller if caller.ours else self._owner(caller, seen)
            return owner, shown
        return None, shown

    def new_caller(self, function: Function) -> Function | None:
        """Return the function of the project that calls this one most and did not before; None if there is none."""
        callers = [
            caller
            for caller in self._callers.get(function, ())
            if caller.ours
            and caller != function
            and self._rise(caller, function) > 0
            and not self._edge(self._base.edges, caller, function).calls
        ]
        return max(callers, key=lambda caller: self._rise(caller, function), default=None)

    def lost_caller(self, function: Function) -> Function | None:
        """Return the project's function that makes fewest calls of this one compared with before."""
        callers = [
            caller for caller in self._callers.get(function, ()) if caller.ours and self._rise(caller, function) < 0
        ]
        return min(callers, key=lambda caller: self._rise(caller, function), default=None)

    def library_call(self, function: Function, share: float) -> Function | None:
        """Return the library or C function in whose calls by `function` most of its growth lies; None if it is its own code."""
        growth: dict[Function, float] = {}
        for caller, callee in {**self._head.edges, **self._base.edges}:
            if caller == function and not callee.ours:
                now, before = self._edge(self._head.edges, caller, callee), self._edge(self._base.edges, caller, callee)
                growth[callee] = now.seconds - before.seconds
        own = self._head.costs.get(function, _NO_COST).own - self._base.costs.get(function, _NO_COST).own
        largest = max(growth, key=lambda callee: growth[callee], default=None)
        total = max(0.0, own) + sum(max(0.0, seconds) for seconds in growth.values())
        return largest if largest is not None and growth[largest] > share * total > 0 else None

    def calls_library_more(self, function: Function) -> bool:
        """Return whether the function calls any library or C function more often than before."""
        return any(
            caller == function
            and not callee.ours
            and is_called_more(self._edge(self._base.edges, caller, callee).calls, edge.calls)
            for (caller, callee), edge in self._head.edges.items()
        )

    def _grown_caller(self, function: Function) -> Function | None:
        callers = [caller for caller in self._callers.get(function, ()) if caller != function]
        callers = [caller for caller in callers if self._rise(caller, function) > 0]
        return max(callers, key=lambda caller: self._rise(caller, function), default=None)

    def _calls_more_each_time(self, caller: Function, callee: Function) -> bool:
        before, now = self.base_calls(caller), self.head_calls(caller)
        if not is_called_more(before, now):
            return True
        if not before:
            return False  # the caller is new itself
        each_before = self._edge(self._base.edges, caller, callee).calls / before
        each_now = self._edge(self._head.edges, caller, callee).calls / now
        return each_now > each_before * _MORE_EACH_TIME

    def _owner(self, function: Function, seen: set[Function]) -> Function | None:
        """Return the project's function that calls a library function, whose calls grew most or are most."""
        seen = set(seen)
        while not function.ours:
            callers = [caller for caller in self._callers.get(function, ()) if caller not in seen]
            if not callers:
                return None
            current = function
            function = max(
                callers,
                key=lambda caller: (self._rise(caller, current), self._edge(self._head.edges, caller, current).calls),
            )
            seen.add(function)
        return function

    def _rise(self, caller: Function, callee: Function) -> float:
        return self._edge(self._head.edges, caller, callee).calls - self._edge(self._base.edges, caller, callee).calls

    def _cost(self, function: Function) -> Cost:
        return self._head.costs.get(function) or self._base.costs.get(function) or _NO_COST

    @staticmethod
    def _edge(edges: Mapping[tuple[Function, Function], Edge], caller: Function, callee: Function) -> Edge:
        return edges.get((caller, callee), _NO_EDGE)
