"""`RedisCache` and `AsyncRedisCache`: entries on a server, shared by machines."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any

from pytest_perfguard.tools.caches.get_or_compute import Computing
from pytest_perfguard.tools.caches.get_or_compute_aio import AsyncComputing
from pytest_perfguard.tools.caches.level import DEFAULT, Found, Missing, Release
from pytest_perfguard.tools.caches.remote_base import RedisBase, redis_package
from pytest_perfguard.tools.caches.sansio import run, run_async


class RedisCache(RedisBase, Computing):
    """Keeps entries in Redis, by redis-py (extra `redis`). Safe to use from several threads.

    A server that is away is a miss and a warning, not a failure: it is then asked again after half a second, and less and less often
    up to every 30 s. An entry that cannot be read is a miss, and is removed. How much is kept is the server's to say (`maxmemory`).

    Parameters
    ----------
    url, client
        such as "redis://127.0.0.1:6379/0", or a client of redis-py, which is then the caller's to close.
    ttl
        seconds that an entry lives where `set` does not say; None: for ever.
    prefix
        of all keys; `clear` removes what begins with it.
    serializer
        anything with `dumps` and `loads`; JSON by default, which refuses what would not come back as it is. Whoever can write
        to the server can have code run by one that trusts what it reads, such as pickle.
    timeout
        seconds for connecting and for each answer, of a client made from `url`.
    lease
        seconds after which the right to compute a key (`get_or_compute`) is given to somebody else.

    Raises
    ------
    MissingExtra
    """

    blocking = True

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key that was set and has not expired, or `default`."""
        found = run(self.looking_up(key))
        return default if found is None else found.value

    def lookup(self, key: str) -> Found | None:
        """The value and the seconds it has left; None if there is nothing."""
        return run(self.looking_up(key))

    def set(self, key: str, value: Any, ttl: float | None = DEFAULT) -> None:
        """Keep a value for `ttl` seconds, None for ever; by default as long as the cache says.

        Raises
        ------
        CacheValueError
            the serializer cannot keep such a value.
        """
        with self._changing(key):
            run(self.store(key, value, ttl))

    def delete(self, key: str) -> bool:
        """Forget a key; was there anything?"""
        with self._changing(key):
            return run(self.removal(key))

    def clear(self) -> None:
        """Forget everything that begins with the prefix."""
        with self._changing_all():
            run(self.clearing())

    def claim(self, key: str) -> Release | Missing | None:
        """The right to compute a key among all that use the server, for the time of the lease; None while somebody else has it,
        MISSING where the server is away."""
        return run(self.claiming(key))

    def close(self) -> None:
        """Close the client, if it was made here."""
        if self._made is not None:
            self._made.close()
            self._made = None

    def _client(self) -> Any:
        if self._given is not None:
            return self._given
        if self._made is None:
            self._made = self._new_client(redis_package())
        return self._made

    def _release(self, name: bytes, token: str) -> None:
        run(self.releasing(name, token))

    def _release_later(self, release: Callable[[], Any]) -> None:
        with contextlib.suppress(Exception):  # the lease ends in any case
            release()


class AsyncRedisCache(RedisBase, AsyncComputing):
    """`RedisCache` for asyncio: the same, awaited. Each event loop has a client of its own; close it there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clients: weakref.WeakKeyDictionary[object, Any] = weakref.WeakKeyDictionary()
        self._releasing: set[object] = set()

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of a key that was set and has not expired, or `default`."""
        found = await run_async(self.looking_up(key))
        return default if found is None else found.value

    async def lookup(self, key: str) -> Found | None:
        """The value and the seconds it has left; None if there is nothing."""
        return await run_async(self.looking_up(key))

    async def set(self, key: str, value: Any, ttl: float | None = DEFAULT) -> None:
        """Keep a value for `ttl` seconds, None for ever; by default as long as the cache says.

        Raises
        ------
        CacheValueError
            the serializer cannot keep such a value.
        """
        with self._changing(key):
            await run_async(self.store(key, value, ttl))

    async def delete(self, key: str) -> bool:
        """Forget a key; was there anything?"""
        with self._changing(key):
            return await run_async(self.removal(key))

    async def clear(self) -> None:
        """Forget everything that begins with the prefix."""
        with self._changing_all():
            await run_async(self.clearing())

    async def claim(self, key: str) -> Release | Missing | None:
        """The right to compute a key among all that use the server, for the time of the lease; None while somebody else has it,
        MISSING where the server is away."""
        return await run_async(self.claiming(key))

    async def close(self) -> None:
        """Close the client of the running event loop, if it was made here."""
        import asyncio

        made = self._clients.pop(asyncio.get_running_loop(), None)
        if made is not None:
            await made.aclose()

    def _client(self) -> Any:
        import asyncio

        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._new_client(redis_package(asynchronous=True))
        return client

    async def _release(self, name: bytes, token: str) -> None:
        await run_async(self.releasing(name, token))

    def _release_later(self, release: Callable[[], Any]) -> None:
        import asyncio

        task = asyncio.get_running_loop().create_task(release())
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)
