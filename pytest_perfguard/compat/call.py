"""What a benchmark calls: the function, its arguments, and what is done before and after each round; the rules for both."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]


class RoundSpec(NamedTuple):
    """How often `pedantic` was told to call."""

    rounds: int = 1
    warmup_rounds: int = 0
    iterations: int = 1


class BenchmarkCall:
    """A call with `setup` before and `teardown` after each round.

    `hands_over`: is `setup` called with the arguments, as pytest-codspeed does? pytest-benchmark calls it with none.
    """

    def __init__(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[..., Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        *,
        hands_over: bool = False,
    ) -> None:
        self.target = target
        self.teardown = teardown
        self._given: Arguments = (args, kwargs or {})
        self._setup = _without_parameters(setup, self._given, hands_over=hands_over) if setup is not None else None

    @property
    def is_prepared(self) -> bool:
        """Is there a `setup`, which prepares one call?"""
        return self._setup is not None

    @property
    def is_arranged(self) -> bool:
        """Is anything called besides the function?"""
        return self._setup is not None or self.teardown is not None

    def arguments(self) -> Arguments:
        """Of the next round; calls `setup`.

        Raises
        ------
        TypeError
            where both the test and its `setup` give arguments, or `setup` is a coroutine function of a plain call.
        """
        if self._setup is None:
            return self._given
        returned = self._setup()
        if inspect.iscoroutine(returned):
            returned.close()
            raise TypeError("setup is a coroutine function and the benchmarked function is not; give a plain function")
        return self._chosen(returned)

    async def arguments_async(self) -> Arguments:
        """The same where `setup` may be a coroutine function."""
        if self._setup is None:
            return self._given
        returned = self._setup()
        return self._chosen(await returned if isinstance(returned, Awaitable) else returned)

    def finish(self, arguments: Arguments) -> None:
        """After a round."""
        if self.teardown is not None:
            args, kwargs = arguments
            self.teardown(*args, **kwargs)

    async def finish_async(self, arguments: Arguments) -> None:
        """The same where `teardown` may be a coroutine function."""
        if self.teardown is not None:
            args, kwargs = arguments
            done = self.teardown(*args, **kwargs)
            if isinstance(done, Awaitable):
                await done

    def _chosen(self, returned: Any) -> Arguments:
        if not returned:
            return self._given
        if any(self._given):
            raise TypeError(
                "Can't use `args` or `kwargs` if `setup` returns the arguments, as this one does: choose one of the two"
            )
        try:
            args, kwargs = returned
        except (TypeError, ValueError) as error:
            raise type(error)(f"`setup` must return nothing or (args, kwargs), not {returned!r:.80}: {error}") from None
        return args, kwargs


def check_rounds(asked: RoundSpec, *, has_setup: bool) -> None:
    """Refuse numbers of calls that cannot be meant.

    Raises
    ------
    ValueError
        as pytest-benchmark does, with texts that begin as its own: suites match them.
    """
    for name, least in (("iterations", 1), ("rounds", 1), ("warmup_rounds", 0)):
        number = getattr(asked, name)
        if not isinstance(number, int) or number < least:
            raise ValueError(f"Must have positive int for `{name}`. It is {number!r}; the least is {least}")
    if has_setup and asked.iterations > 1:
        raise ValueError(
            f"Can't use more than 1 `iterations` with a `setup` function, which prepares one call: these are "
            f"{asked.iterations}; use `rounds`"
        )


def is_coroutine_function(target: object) -> bool:
    """Does calling it make a coroutine? Also of a partial, and of an object with such a `__call__`."""
    while isinstance(target, partial):
        target = target.func
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(getattr(type(target), "__call__", None))  # noqa: B004


def _without_parameters(setup: Callable[..., Any], given: Arguments, *, hands_over: bool) -> Callable[[], Any]:
    """`setup` as a call without arguments; where it takes the wrong number, the other plugin's way may be the right one."""
    args, kwargs = given
    handed = partial(setup, *args, **kwargs)
    if not any(given):
        return setup
    try:
        signature = inspect.signature(setup)
    except (TypeError, ValueError):  # written in C
        return handed if hands_over else setup
    if hands_over:
        return handed if _binds(signature, given) or not _binds(signature, ((), {})) else setup
    return setup if _binds(signature, ((), {})) or not _binds(signature, given) else handed


def _binds(signature: inspect.Signature, given: Arguments) -> bool:
    args, kwargs = given
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True
