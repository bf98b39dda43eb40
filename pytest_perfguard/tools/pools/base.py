"""What all pools say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from pytest_perfguard.tools.pools.items import Lent, lent_things


class PoolBase:
    """Not to be used by itself."""

    _state: Any
    _guard: AbstractContextManager[object]
    """The lock under which the state is read, where there is one."""

    def stats(self) -> Any:
        """The numbers of this moment: a dataclass."""
        raise NotImplementedError

    def statistics(self) -> Mapping[str, float]:
        """The same as a mapping: `monitor.watch("db.pool", pool.statistics)`."""
        return asdict(self.stats())

    def not_returned(self) -> list[Lent]:
        """What is lent just now, and who took it where the pool traces."""
        with self._guard:
            return lent_things(self._state.lent.values())

    @property
    def name(self) -> str:
        """What errors call the pool."""
        name: str = self._state.name
        return name

    @property
    def closed(self) -> bool:
        """Does it lend nothing any more?"""
        closed: bool = self._state.closed
        return closed
