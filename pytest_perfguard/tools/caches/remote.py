"""`RedisCache` and `AsyncRedisCache`: entries on a Redis server, shared by several machines."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Final

from pytest_perfguard.tools.caches.get_or_compute import AsyncComputingCache, ComputingCache
from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, CachedValue, Missing, Release
from pytest_perfguard.tools.caches.redis_operations import (
    Answer,
    Client,
    Package,
    RedisBase,
    can_be_copied,
    redis_package,
)
from pytest_perfguard.tools.caches.sansio import run, run_async

if TYPE_CHECKING:
    import asyncio

#: Clients that were open at a fork. They are kept: to close them would disturb the parent.
_inherited: Final[list[Client]] = []


class RedisCache(RedisBase, ComputingCache):
    """Keep entries in Redis, with redis-py (extra `redis`). Safe to use from several threads.

    While the server does not answer, its entries are misses. A warning is logged, and the server is tried again after half a second,
    then less and less often, up to every 30 s. An entry that cannot be read is a miss and is removed. The server limits the size
    (`maxmemory`); a value that it refuses is not kept, and neither is the older one.

    Parameters
    ----------
    url, client
        such as "redis://127.0.0.1:6379/0"; or a client of redis-py, which the caller closes. In a forked child a copy of the client
        with connections of its own is used, unless it is of a subclass or has a pool of another kind.
    ttl
        seconds that an entry lives unless `set` gives another time; None: no limit.
    prefix
        of all keys; `clear` removes the keys that begin with it.
    serializer
        any object with `dumps` and `loads`; by default JSON, which refuses values that would come back changed. With a serializer
        that trusts its input, such as pickle, anybody who can write to the server can run code here.
    timeout
        seconds for connecting and for each answer, of a client made from `url`.
    lease
        seconds after which the right to compute a key (`get_or_compute`) passes to another process.

    Raises
    ------
    MissingExtra
        if redis-py is not installed.
    ValueError, TypeError
        for a url that redis-py does not accept, a client of the other kind, or one that decodes its responses.
    """

    blocking = True

    def get(self, key: Hashable, default: object = None) -> Any:
        """Return the value of a key that was set and has not expired, or `default`."""
        found = run(self.looking_up(key))
        return default if found is None else found.value

    def lookup(self, key: Hashable) -> CachedValue | None:
        """Return the value and its remaining seconds, or None."""
        return run(self.looking_up(key))

    def set(self, key: Hashable, value: object, ttl: float | None = DEFAULT) -> None:
        """Keep a value for `ttl` seconds; None: without a limit; by default as long as the cache keeps values.

        Raises
        ------
        CacheValueError
            if the serializer refuses the value.
        """
        with self._changing(key):
            run(self.store(key, value, ttl))

    def add(self, key: Hashable, value: object, ttl: float | None = DEFAULT) -> bool:
        """Set a value only if the key has none, and return whether it was set."""
        with self._changing(key):
            return run(self.adding(key, value, ttl))

    def increment(self, key: Hashable, delta: int = 1) -> int | None:
        """Add `delta` to a whole number, by default to 0, and return the sum; None if the server is away or refuses."""
        with self._changing(key):
            return run(self.incrementing(key, delta))

    def touch(self, key: Hashable, ttl: float | None = DEFAULT) -> bool:
        """Give a key a new time to live, and return whether it was there."""
        return run(self.touching(key, ttl))

    def multi_get(self, keys: Iterable[Hashable], default: object = None) -> list[Any]:
        """Return the values of several keys, in their order, with one request."""
        return [default if value is MISSING else value for value in run(self.looking_up_many(list(keys)))]

    def multi_set(self, pairs: Iterable[tuple[Hashable, object]], ttl: float | None = DEFAULT) -> None:
        """Set several pairs of key and value with one request."""
        given = list(pairs)
        with contextlib.ExitStack() as stack:
            for key, _value in given:
                stack.enter_context(self._changing(key))
            run(self.storing_many(given, ttl))

    def delete(self, key: Hashable) -> bool:
        """Remove a key and return whether it was there."""
        with self._changing(key):
            return run(self.removal(key))

    def clear(self) -> None:
        """Remove all keys that begin with the prefix."""
        with self._changing_all():
            run(self.clearing())

    def lease(self, key: Hashable) -> Release | Missing | None:
        """Take the right to compute a key among all processes that use the server, for the time of the lease.

        Return its release function, None if another process holds it, MISSING if the server is away.
        """
        return run(self.leasing(key))

    def close(self) -> None:
        """Close the client, if it was made from `url`."""
        made, self._made = self._made, None
        if made is not None:
            made.close()

    def begin_anew(self) -> None:
        """Reset in a forked child: a thread of the parent may hold the client's lock."""
        super().begin_anew()
        _inherited.append(self._made)
        self._made = None

    def _client(self) -> Client:
        package = redis_package()
        if self._given is not None and not (self._in_child and can_be_copied(self._given, package)):
            return self._given
        if self._made is None:
            self._made = self._new_client(package)
        return self._made

    def _release(self, name: bytes, token: str) -> None:
        run(self.releasing(name, token))

    def _release_later(self, release: Callable[[], Answer]) -> None:
        with contextlib.suppress(Exception):  # the lease expires in any case
            release()


class AsyncRedisCache(RedisBase, AsyncComputingCache):
    """`RedisCache` for asyncio: the same methods, awaited.

    Each event loop has a client of its own; close it there. The client of a loop that has ended is dropped. A given client belongs
    to the first loop in which it is used; further loops, like a forked child, use copies of it.
    """

    _for_tasks = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Client] = weakref.WeakKeyDictionary()
        self._loop_of_given: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self._releasing: set[object] = set()

    async def get(self, key: Hashable, default: object = None) -> Any:
        """Return the value of a key that was set and has not expired, or `default`."""
        found = await run_async(self.looking_up(key))
        return default if found is None else found.value

    async def lookup(self, key: Hashable) -> CachedValue | None:
        """Return the value and its remaining seconds, or None."""
        return await run_async(self.looking_up(key))

    async def set(self, key: Hashable, value: object, ttl: float | None = DEFAULT) -> None:
        """Keep a value for `ttl` seconds; None: without a limit; by default as long as the cache keeps values.

        Raises
        ------
        CacheValueError
            if the serializer refuses the value.
        """
        with self._changing(key):
            await run_async(self.store(key, value, ttl))

    async def add(self, key: Hashable, value: object, ttl: float | None = DEFAULT) -> bool:
        """Set a value only if the key has none, and return whether it was set."""
        with self._changing(key):
            return await run_async(self.adding(key, value, ttl))

    async def increment(self, key: Hashable, delta: int = 1) -> int | None:
        """Add `delta` to a whole number, by default to 0, and return the sum; None if the server is away or refuses."""
        with self._changing(key):
            return await run_async(self.incrementing(key, delta))

    async def touch(self, key: Hashable, ttl: float | None = DEFAULT) -> bool:
        """Give a key a new time to live, and return whether it was there."""
        return await run_async(self.touching(key, ttl))

    async def multi_get(self, keys: Iterable[Hashable], default: object = None) -> list[Any]:
        """Return the values of several keys, in their order, with one request."""
        values = await run_async(self.looking_up_many(list(keys)))
        return [default if value is MISSING else value for value in values]

    async def multi_set(self, pairs: Iterable[tuple[Hashable, object]], ttl: float | None = DEFAULT) -> None:
        """Set several pairs of key and value with one request."""
        given = list(pairs)
        with contextlib.ExitStack() as stack:
            for key, _value in given:
                stack.enter_context(self._changing(key))
            await run_async(self.storing_many(given, ttl))

    async def delete(self, key: Hashable) -> bool:
        """Remove a key and return whether it was there."""
        with self._changing(key):
            return await run_async(self.removal(key))

    async def clear(self) -> None:
        """Remove all keys that begin with the prefix."""
        with self._changing_all():
            await run_async(self.clearing())

    async def lease(self, key: Hashable) -> Release | Missing | None:
        """Take the right to compute a key among all processes that use the server, for the time of the lease.

        Return its release function, None if another process holds it, MISSING if the server is away.
        """
        return await run_async(self.leasing(key))

    async def close(self) -> None:
        """Close the client of the running event loop, if it was made from `url`."""
        import asyncio

        self._drop_clients_of_ended_loops()
        made = self._clients.pop(asyncio.get_running_loop(), None)
        if made is not None:
            await made.aclose()

    def begin_anew(self) -> None:
        """Reset in a forked child: event loops and their clients belong to the parent."""
        super().begin_anew()
        _inherited.extend(self._clients.values())
        self._clients = weakref.WeakKeyDictionary()
        self._releasing = set()

    def _client(self) -> Client:
        import asyncio

        package, loop = redis_package(asynchronous=True), asyncio.get_running_loop()
        if self._given is not None and self._may_use_given(package, loop):
            return self._given
        client = self._clients.get(loop)
        if client is None:
            self._drop_clients_of_ended_loops()
            client = self._clients[loop] = self._new_client(package)
        return client

    def _may_use_given(self, package: Package, loop: asyncio.AbstractEventLoop) -> bool:
        if not can_be_copied(self._given, package):
            return True
        if self._loop_of_given is None:
            self._loop_of_given = weakref.ref(loop)
        return not self._in_child and self._loop_of_given() is loop

    def _drop_clients_of_ended_loops(self) -> None:
        for reference in self._clients.keyrefs():  # a copy: threads with loops of their own add to it
            loop = reference()
            if loop is not None and loop.is_closed():
                self._clients.pop(loop, None)

    async def _release(self, name: bytes, token: str) -> None:
        await run_async(self.releasing(name, token))

    def _release_later(self, release: Callable[[], Answer]) -> None:
        import asyncio

        task = asyncio.get_running_loop().create_task(release())
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)
