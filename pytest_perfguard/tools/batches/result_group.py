"""Results of several items of one task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_perfguard.core.tool_errors import BatchTimeout

if TYPE_CHECKING:
    import asyncio

_MISSING: Final = object()


class ResultGroup:
    """The results of several items, in their order, and one future for all.

    A future for each item, and a callback of the loop for each future, would take longer than all the rest.
    """

    def __init__(self, done: asyncio.Future[None], *, return_exceptions: bool) -> None:
        self.over = False
        """Whether the caller wants no more results: items whose batch has not begun are withdrawn."""
        self._done = done
        self._return_exceptions = return_exceptions
        self._results: list[object] = []
        self._open = 1  # for the items that are still to come
        self._error: BaseException | None = None

    def place(self) -> ResultPlace:
        """Return the place of the next item's result."""
        self._results.append(_MISSING)
        self._open += 1
        return ResultPlace(self, len(self._results) - 1)

    async def gathered(self, kind: str, left: float | None, timeout: float | None) -> list[object]:
        """Return all results, or raise the first error; wait for them for the seconds that are left of `timeout`.

        Raises
        ------
        BatchTimeout
        """
        self._ended()
        if left is None:
            await self._done
        else:
            import asyncio

            await asyncio.wait([self._done], timeout=left)
        if self._error is not None:
            raise self._error
        if self._done.done():
            return self._results
        problem = f"no result within {timeout:g} s"
        if not self._return_exceptions:
            raise BatchTimeout(kind, problem)
        return [BatchTimeout(kind, problem) if result is _MISSING else result for result in self._results]

    def put(self, number: int, result: object) -> None:
        """Set the result of an item."""
        self._results[number] = result
        self._ended()

    def fail(self, number: int, error: BaseException) -> None:
        """Set the error of an item."""
        if self._return_exceptions:
            self.put(number, error)
        elif not self.over:
            self.over, self._error = True, error
            self._finish()

    def _ended(self) -> None:
        self._open -= 1
        if not self._open:
            self._finish()

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


class ResultPlace:
    """The place of one result, with the methods of a future that a batch uses."""

    __slots__ = ("_group", "_number")

    def __init__(self, group: ResultGroup, number: int) -> None:
        self._group = group
        self._number = number

    def done(self) -> bool:
        """Return whether no result is wanted any more."""
        return self._group.over

    cancelled = done

    def cancel(self) -> None:
        """Withdraw all items of the group."""
        self._group.over = True

    def set_result(self, result: object) -> None:
        """Set the result."""
        self._group.put(self._number, result)

    def set_exception(self, error: BaseException) -> None:
        """Set an error as the result."""
        self._group.fail(self._number, error)
