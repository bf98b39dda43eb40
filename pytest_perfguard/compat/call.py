"""The call that a benchmark measures: the function, its arguments, and its `setup` and `teardown` for each round."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple, cast

Arguments = tuple[tuple[object, ...], Mapping[str, object]]


class RoundSpec(NamedTuple):
    """Numbers of rounds and iterations, as given to `pedantic`."""

    rounds: int = 1
    warmup_rounds: int = 0
    iterations: int = 1


class BenchmarkCall:
    """A call with `setup` before and `teardown` after each round.

    `passes_arguments`: whether `setup` is called with the arguments, as in pytest-codspeed. pytest-benchmark calls it without.
    """

    def __init__(
        self,
        target: Callable[..., object],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
        setup: Callable[..., object] | None = None,
        teardown: Callable[..., object] | None = None,
        *,
        passes_arguments: bool = False,
    ) -> None:
        self.target = target
        self.teardown = teardown
        self._given: Arguments = (args, kwargs or {})
        self._setup = (
            _without_parameters(setup, self._given, passes_arguments=passes_arguments) if setup is not None else None
        )

    @property
    def coroutine_function(self) -> Callable[..., Awaitable[object]]:
        """The function, where its calls are awaited."""
        return cast("Callable[..., Awaitable[object]]", self.target)

    @property
    def has_setup(self) -> bool:
        """True if there is a `setup`, which prepares one call."""
        return self._setup is not None

    @property
    def has_setup_or_teardown(self) -> bool:
        """True if anything is called besides the function."""
        return self._setup is not None or self.teardown is not None

    def arguments(self) -> Arguments:
        """Call `setup` and return the arguments of the next round.

        Raises
        ------
        TypeError
            if both the test and its `setup` give arguments, or `setup` is a coroutine function and the call is not.
        """
        if self._setup is None:
            return self._given
        returned = self._setup()
        if inspect.iscoroutine(returned):
            returned.close()
            raise TypeError("setup is a coroutine function and the benchmarked function is not; give a plain function")
        return self._chosen(returned)

    async def arguments_async(self) -> Arguments:
        """Return the arguments of the next round of a coroutine function, whose `setup` may be a coroutine function, too."""
        if self._setup is None:
            return self._given
        returned = self._setup()
        return self._chosen(await returned if isinstance(returned, Awaitable) else returned)

    def finish(self, arguments: Arguments) -> None:
        """Call `teardown` after a round."""
        if self.teardown is not None:
            args, kwargs = arguments
            self.teardown(*args, **kwargs)

    async def finish_async(self, arguments: Arguments) -> None:
        """Call the `teardown` of a coroutine function, which may be a coroutine function, too."""
        if self.teardown is not None:
            args, kwargs = arguments
            done = self.teardown(*args, **kwargs)
            if isinstance(done, Awaitable):
                await done

    def _chosen(self, returned: object) -> Arguments:
        if not returned:
            return self._given
        if any(self._given):
            raise TypeError(
                "Can't use `args` or `kwargs` if `setup` returns the arguments, as this one does: give the arguments in one place"
            )
        try:
            args, kwargs = cast("Arguments", returned)
        except (TypeError, ValueError) as error:
            raise type(error)(f"`setup` must return nothing or (args, kwargs), not {returned!r:.80}: {error}") from None
        return args, kwargs


def check_rounds(spec: RoundSpec, *, has_setup: bool) -> None:
    """Check the numbers of rounds and iterations.

    Raises
    ------
    ValueError
        with a message that begins like pytest-benchmark's, because suites match it.
    """
    for name, minimum in (("iterations", 1), ("rounds", 1), ("warmup_rounds", 0)):
        number = getattr(spec, name)
        if not isinstance(number, int) or number < minimum:
            raise ValueError(f"Must have positive int for `{name}`. It is {number!r}; the minimum is {minimum}")
    if has_setup and spec.iterations > 1:
        raise ValueError(
            f"Can't use more than 1 `iterations` with a `setup` function, which prepares one call: it is "
            f"{spec.iterations}; use `rounds`"
        )


def _without_parameters(
    setup: Callable[..., object], given: Arguments, *, passes_arguments: bool
) -> Callable[[], object]:
    """Return `setup` as a call without arguments.

    If its signature does not fit the convention of one plugin, the convention of the other is used.
    """
    args, kwargs = given
    with_arguments = partial(setup, *args, **kwargs)
    if not any(given):
        return setup
    try:
        signature = inspect.signature(setup)
    except (TypeError, ValueError):  # such as a function written in C
        return with_arguments if passes_arguments else setup
    if passes_arguments:
        return with_arguments if _binds(signature, given) or not _binds(signature, ((), {})) else setup
    return setup if _binds(signature, ((), {})) or not _binds(signature, given) else with_arguments


def _binds(signature: inspect.Signature, given: Arguments) -> bool:
    args, kwargs = given
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True
