"""The operations of `RedisCache` and `AsyncRedisCache`, as generators of calls on a client of redis-py."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.errors import MissingExtra
from pytest_perfguard.core.shared_lock import SHARED_LOCK
from pytest_perfguard.core.tool_errors import CacheValueError
from pytest_perfguard.tools.caches.circuit_breaker import CircuitBreaker
from pytest_perfguard.tools.caches.keys import encode_key
from pytest_perfguard.tools.caches.level import (
    DEFAULT,
    MISSING,
    CachedValue,
    LevelStats,
    Missing,
    Release,
    checked_ttl,
)
from pytest_perfguard.tools.caches.rate_limited_log import RateLimitedLog
from pytest_perfguard.tools.caches.sansio import Calls
from pytest_perfguard.tools.caches.serializers import JSON, Serializer, encoded

#: A client of redis-py for threads or for asyncio: the methods of both have the same, double types.
Client: TypeAlias = Any
#: The package of redis-py for one of the two.
Package: TypeAlias = Any
#: The answer of a client, to be awaited with asyncio.
Answer: TypeAlias = Any

TTL: Final = 3_600.0
PREFIX: Final = "perfguard:"
#: Seconds for connecting, and for each answer.
TIMEOUT: Final = 1.0
#: Seconds after which the right to compute a key passes to another process, in case its owner has died.
LEASE: Final = 60.0
#: Seconds above which an entry does not expire: the server refuses more than some million years.
MAX_TTL: Final = 1e10
#: Between the prefix and the key of values and of leases.
_VALUES: Final = b"v:"
_LEASES: Final = b"c:"
#: The server's answer for the time to live of an entry that does not expire.
_NO_LIMIT: Final = -1
_RELEASE: Final = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
#: Keys that `clear` finds and removes at a time.
_BATCH: Final = 500

_log = logging.getLogger("perfguard.cache")


class RedisBase:
    """The operations of both classes, as generators of calls on a client of redis-py."""

    _for_tasks = False

    def __init__(
        self,
        url: str | None = None,
        ttl: float | None = TTL,
        *,
        client: Client = None,
        prefix: str = PREFIX,
        serializer: Serializer = JSON,
        timeout: float = TIMEOUT,
        lease: float = LEASE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if (url is None) == (client is None):
            raise ValueError("give either the url of a server or a client of redis-py")
        super().__init__()
        self.ttl = checked_ttl(ttl, None)
        self._url = url
        self._given = client
        self._prefix = prefix.encode(errors="surrogatepass")
        self._serializer = serializer
        self._timeout = timeout
        self._lease = lease
        self._clock = clock
        self._in_child = False
        self._made: Client = None
        self._breaker = CircuitBreaker()
        self._lock = SHARED_LOCK
        self._counts = dict.fromkeys(("hits", "misses", "refusals", "corrupt", "errors"), 0)
        self._refused_log, self._unreadable_log = RateLimitedLog(), RateLimitedLog()
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout!r}: it must be more than 0 seconds")
        package = redis_package()  # reports a missing package now
        if client is None:
            package.connection.parse_url(url)  # reports a wrong url now
        else:
            self._check_client(client)

    def _check_client(self, client: Client) -> None:
        for_tasks = must_be_awaited(getattr(client, "execute_command", None))
        if for_tasks != self._for_tasks:
            kind, use = ("asyncio", "AsyncRedisCache") if for_tasks else ("threads", "RedisCache")
            raise TypeError(f"{client!r} is a client for {kind}: use {use}")
        if client.get_encoder().decode_responses:
            raise ValueError("the client decodes its responses: give one with decode_responses=False")

    def stats(self) -> LevelStats:
        """Return the statistics of this object. The number of entries on the server is not included."""
        with self._lock:
            return LevelStats(**self._counts)

    def begin_anew(self) -> None:
        """Reset in a forked child, where another thread may have held the lock."""
        super().begin_anew()  # type: ignore[misc]  # both classes derive from InvalidatingCache, too
        self._lock = SHARED_LOCK
        self._in_child = True

    def __repr__(self) -> str:
        place = urlsplit(self._url or "")
        return f"<{type(self).__name__} {place.hostname or ''}{place.path}>"  # without the password in the url

    def looking_up(self, key: Hashable) -> Calls[CachedValue | None]:
        """Return the value and its remaining time, and count a hit or a miss."""
        found = yield from self._found(self._name(key))
        self._count("misses" if found is None else "hits")
        return found

    def looking_up_many(self, keys: list[Hashable]) -> Calls[list[object]]:
        """Return the values of several keys, MISSING for those without one."""
        names = [self._name(key) for key in keys]
        answers = yield from self._request(lambda client: client.mget(names), None) if names else _nothing()
        if answers is None or answers is MISSING:
            answers = [None] * len(names)
        values: list[object] = []
        for name, data in zip(names, answers, strict=True):
            found = None if data is None else (yield from self._decoded(name, data, _NO_LIMIT))
            self._count("misses" if found is None else "hits")
            values.append(MISSING if found is None else found.value)
        return values

    def store(self, key: Hashable, value: object, ttl: float | None) -> Calls[None]:
        """Keep a value. If the server refuses it, such as for want of memory, remove the older one."""
        name, milliseconds = self._name(key), self._milliseconds(ttl)
        data = encoded(self._serializer, value, repr(self))
        kept = yield from self._request(lambda client: client.set(name, data, px=milliseconds), None)
        if kept is MISSING:
            self._count("refusals")
            yield from self._request(lambda client: client.delete(name), None)

    def storing_many(self, pairs: list[tuple[Hashable, object]], ttl: float | None) -> Calls[None]:
        """Keep several values in one request."""
        milliseconds = self._milliseconds(ttl)
        data = [(self._name(key), encoded(self._serializer, value, repr(self))) for key, value in pairs]
        kept = yield from self._request(partial(_set_many, data, milliseconds), None)
        if kept is MISSING:
            self._count("refusals")
            names = [name for name, _value in data]
            yield from self._request(lambda client: client.delete(*names), None)

    def adding(self, key: Hashable, value: object, ttl: float | None) -> Calls[bool]:
        """Keep a value only if the key has none, and return whether it was kept."""
        name, milliseconds = self._name(key), self._milliseconds(ttl)
        data = encoded(self._serializer, value, repr(self))
        kept = yield from self._request(lambda client: client.set(name, data, px=milliseconds, nx=True), None)
        return kept is not MISSING and bool(kept)

    def incrementing(self, key: Hashable, delta: int) -> Calls[int | None]:
        """Add to a whole number on the server."""
        if not isinstance(delta, int):
            raise TypeError(f"delta is {delta!r}: the server adds whole numbers")
        if self._serializer is not JSON:
            raise CacheValueError(
                repr(self), "increment needs the default serializer, whose numbers the server can read"
            )
        name, milliseconds = self._name(key), self._milliseconds(DEFAULT)
        total = yield from self._request(partial(_increment, name, delta, milliseconds), None)
        return None if total is None or total is MISSING else int(total)

    def touching(self, key: Hashable, ttl: float | None) -> Calls[bool]:
        """Give a key a new time to live, and return whether it was there."""
        name, milliseconds = self._name(key), self._milliseconds(ttl)
        answers = yield from self._request(partial(_touch, name, milliseconds), None)
        return answers is not None and answers is not MISSING and bool(answers[-1])

    def removal(self, key: Hashable) -> Calls[bool]:
        """Remove a key and return whether it was there."""
        name = self._name(key)
        removed = yield from self._request(lambda client: client.delete(name), 0)
        return removed is not MISSING and bool(removed)

    def clearing(self) -> Calls[None]:
        """Remove all values whose key begins with the prefix."""
        pattern = re.sub(rb"([*?^\[\]\\-])", rb"\\\1", self._prefix + _VALUES) + b"*"
        cursor: Any = 0
        while cursor is not None:
            found = yield from self._request(partial(_scan, pattern, cursor), None)
            if found is None or found is MISSING:
                return
            cursor, names = found
            if names:
                yield from self._request(partial(_unlink, names), None)
            cursor = cursor or None

    def peek(self, key: Hashable) -> Calls[object]:
        """Return the value or MISSING, without counting a hit or a miss."""
        found = yield from self._found(self._name(key))
        return MISSING if found is None else found.value

    def leasing(self, key: Hashable) -> Calls[Release | Missing | None]:
        """Take the right to compute a key among all processes that use the server. MISSING: the server is away."""
        name, token, lease = self._name(key, _LEASES), uuid.uuid4().hex, max(1, round(self._lease * 1e3))
        release = partial(self._release, name, token)
        try:
            taken = yield from self._request(lambda client: client.set(name, token, nx=True, px=lease), MISSING)
            if taken is None:  # a client that repeats a request whose answer was lost finds its own lease
                owner = yield from self._request(lambda client: client.get(name), None)
                taken = owner is not None and owner == token.encode()
        except BaseException:  # the server may have granted a lease that the caller no longer waits for
            self._release_later(release)
            raise
        return MISSING if taken is MISSING else release if taken else None

    def releasing(self, name: bytes, token: str) -> Calls[None]:
        """Release a lease, unless it has expired and another process holds it."""
        yield from self._request(lambda client: client.eval(_RELEASE, 1, name, token), None)

    def _request(self, request: Callable[[Client], object], otherwise: object) -> Calls[Any]:
        """Return the server's answer, `otherwise` if it does not answer, MISSING if it refuses the request."""
        if not self._breaker.allows(self._clock()):
            self._count("errors")
            return otherwise
        redis = redis_package()
        try:
            client = yield self._client
            answer = yield partial(request, client)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self._count("errors")
            if self._breaker.failed(self._clock()):
                _log.warning("%r does not answer; until it is back its entries are misses: %s", self, error)
            return otherwise
        except redis.RedisError as error:  # concerns only this request
            self._count("errors")
            self._refused_log.warning("%r refuses a request: %s", self, error)
            return MISSING
        if self._breaker.answered():
            _log.warning("%r answers again", self)
        return answer

    def _found(self, name: bytes) -> Calls[CachedValue | None]:
        answer = yield from self._request(partial(_get_with_ttl, name), None)
        if answer is None or answer is MISSING:
            return None
        data, milliseconds = answer
        if data is None or (milliseconds <= 0 and milliseconds != _NO_LIMIT):  # it expired between the two commands
            return None
        found = yield from self._decoded(name, data, milliseconds)
        return found

    def _decoded(self, name: bytes, data: bytes, milliseconds: int) -> Calls[CachedValue | None]:
        try:
            return CachedValue(self._serializer.loads(data), None if milliseconds == _NO_LIMIT else milliseconds / 1e3)
        except Exception as error:
            self._unreadable_log.warning("%r: the entry %r cannot be read and is removed: %s", self, name, error)
            self._count("corrupt")
            yield from self._request(lambda client: client.delete(name), None)
            return None

    def _milliseconds(self, ttl: float | None) -> int | None:
        seconds = checked_ttl(ttl, self.ttl)
        return None if seconds is None or seconds > MAX_TTL else max(1, round(seconds * 1e3))

    def _client(self) -> Client:
        raise NotImplementedError

    def _new_client(self, package: Package) -> Client:
        """Return a client made from the url, or a copy of the given one."""
        if self._given is not None:
            return _copied(self._given, package)
        limits = {"socket_timeout": self._timeout, "socket_connect_timeout": self._timeout}
        return package.Redis.from_url(self._url, **limits)

    def _release(self, name: bytes, token: str) -> Answer:
        """Release a lease."""
        raise NotImplementedError

    def _release_later(self, release: Callable[[], Answer]) -> None:
        """Release a lease without waiting for it."""
        raise NotImplementedError

    def _name(self, key: Hashable, kind: bytes = _VALUES) -> bytes:
        return self._prefix + kind + encode_key(key, repr(self))

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1


def redis_package(asynchronous: bool = False) -> Package:
    """Return redis-py, or its part for asyncio.

    Raises
    ------
    MissingExtra
        if it is not installed.
    """
    try:
        import redis
        import redis.asyncio
    except ImportError:
        raise MissingExtra("RedisCache", "redis", "redis") from None
    return redis.asyncio if asynchronous else redis


def can_be_copied(client: Client, package: Package) -> bool:
    """Return whether a client is one whose settings are known: a plain one with a pool of redis-py."""
    pools = (package.ConnectionPool, package.BlockingConnectionPool)
    return type(client) is package.Redis and type(client.connection_pool) in pools


def _copied(client: Client, package: Package) -> Client:
    """Return a client with the same settings and connections of its own."""
    pool = client.connection_pool
    settings = {"connection_class": pool.connection_class, "max_connections": pool.max_connections}
    if isinstance(pool, package.BlockingConnectionPool):
        settings["timeout"] = pool.timeout
    return package.Redis(connection_pool=type(pool)(**settings, **pool.connection_kwargs))


def _get_with_ttl(name: bytes, client: Client) -> Answer:
    pipeline = client.pipeline(transaction=False)
    pipeline.get(name)
    pipeline.pttl(name)
    return pipeline.execute()


def _set_many(data: list[tuple[bytes, bytes]], milliseconds: int | None, client: Client) -> Answer:
    pipeline = client.pipeline(transaction=False)
    for name, value in data:
        pipeline.set(name, value, px=milliseconds)
    return pipeline.execute()


def _increment(name: bytes, delta: int, milliseconds: int | None, client: Client) -> Answer:
    script = "local n = redis.call('incrby', KEYS[1], ARGV[1]) "
    if milliseconds is not None:
        script += "if redis.call('pttl', KEYS[1]) < 0 then redis.call('pexpire', KEYS[1], ARGV[2]) end "
    return client.eval(script + "return n", 1, name, delta, milliseconds or 0)


def _touch(name: bytes, milliseconds: int | None, client: Client) -> Answer:
    pipeline = client.pipeline(transaction=False)
    if milliseconds is None:
        pipeline.persist(name)
    else:
        pipeline.pexpire(name, milliseconds)
    pipeline.exists(name)  # `persist` does not report a key that had no limit
    return pipeline.execute()


def _scan(pattern: bytes, cursor: int, client: Client) -> Answer:
    return client.scan(cursor, match=pattern, count=_BATCH)


def _unlink(names: list[bytes], client: Client) -> Answer:
    return client.unlink(*names)


def _nothing() -> Calls[Any]:
    yield from ()
    return []
