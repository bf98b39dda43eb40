"""What `RedisCache` and `AsyncRedisCache` do, as steps over a client of redis-py."""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from pytest_perfguard.core.errors import MissingExtra
from pytest_perfguard.core.tool_errors import CacheValueError
from pytest_perfguard.tools.caches.circuit_breaker import CircuitBreaker
from pytest_perfguard.tools.caches.level import MISSING, Found, LevelStats, Missing, Release, checked_ttl
from pytest_perfguard.tools.caches.sansio import Steps
from pytest_perfguard.tools.caches.serializers import JSON, Serializer

TTL: Final = 3_600.0
PREFIX: Final = "perfguard:"
#: Seconds for connecting, and for each answer.
TIMEOUT: Final = 1.0
#: Seconds after which the right to compute a key is given to somebody else, if its owner died.
LEASE: Final = 60.0
#: What stands between the prefix and a key, of values and of the rights to compute them.
_VALUES: Final = "v:"
_CLAIMS: Final = "c:"
#: What the server says of an entry that does not expire.
_FOR_EVER: Final = -1
#: Seconds above which an entry does not expire: the server refuses more than some million years.
_LONGEST: Final = 1e10
_RELEASE: Final = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
#: Keys that are looked for, and removed, at a time.
_AT_ONCE: Final = 500

_log = logging.getLogger("perfguard.cache")


class RedisBase:
    """What both have in common: every method's steps. Not to be used by itself."""

    def __init__(
        self,
        url: str | None = None,
        ttl: float | None = TTL,
        *,
        client: Any = None,
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
        self._prefix = prefix
        self._serializer = serializer
        self._timeout = timeout
        self._lease = lease
        self._clock = clock
        self._made: Any = None
        self._breaker = CircuitBreaker()
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("hits", "misses", "corrupt", "errors"), 0)
        redis_package()  # for want of the package, fail here
        if client is not None and client.get_encoder().decode_responses:
            raise ValueError("the client decodes its responses: give one with decode_responses=False")

    def stats(self) -> LevelStats:
        """The numbers of this object; the server is not asked how much it holds."""
        with self._lock:
            return LevelStats(**self._counts)

    def __repr__(self) -> str:
        place = urlsplit(self._url or "")
        return f"<{type(self).__name__} {place.hostname or ''}{place.path}>"  # a password may stand before it

    def looking_up(self, key: str) -> Steps[Found | None]:
        """The steps of `lookup`."""
        found = yield from self._found(self._name(key))
        self._count("misses" if found is None else "hits")
        return found

    def store(self, key: str, value: Any, ttl: float | None) -> Steps[None]:
        """The steps of `set`."""
        name, seconds = self._name(key), checked_ttl(ttl, self.ttl)
        data = self._serializer.dumps(value)
        milliseconds = None if seconds is None or seconds > _LONGEST else max(1, round(seconds * 1e3))
        yield from self._asked(lambda client: client.set(name, data, px=milliseconds), None)

    def removal(self, key: str) -> Steps[bool]:
        """The steps of `delete`."""
        name = self._name(key)
        gone = yield from self._asked(lambda client: client.delete(name), 0)
        return bool(gone)

    def clearing(self) -> Steps[None]:
        """The steps of `clear`."""
        pattern = re.sub(r"([*?^\[\]\\-])", r"\\\1", f"{self._prefix}{_VALUES}") + "*"
        cursor: Any = 0
        while cursor is not None:
            found = yield from self._asked(partial(_scan, pattern, cursor), None)
            if found is None:
                return
            cursor, names = found
            if names:
                yield from self._asked(partial(_unlink, names), None)
            cursor = cursor or None

    def again(self, key: str) -> Steps[Any]:
        """The value or MISSING, without being a hit or a miss."""
        found = yield from self._found(self._name(key))
        return MISSING if found is None else found.value

    def claiming(self, key: str) -> Steps[Release | Missing | None]:
        """The right to compute a key among all that use the server; MISSING: it is away."""
        name, token, lease = self._name(key, _CLAIMS), uuid.uuid4().hex, max(1, round(self._lease * 1e3))
        release = partial(self._release, name, token)
        try:
            taken = yield from self._asked(lambda client: client.set(name, token, nx=True, px=lease), MISSING)
            if taken is None:  # a client that asked a second time, since the first answer was lost, finds its own claim
                owner = yield from self._asked(lambda client: client.get(name), None)
                taken = owner is not None and owner == token.encode()
        except BaseException:  # it may have been given to somebody who does not wait for it any more
            self._release_later(release)
            raise
        return MISSING if taken is MISSING else release if taken else None

    def releasing(self, name: bytes, token: str) -> Steps[None]:
        """Give a claim back, unless its time is over and somebody else has it."""
        yield from self._asked(lambda client: client.eval(_RELEASE, 1, name, token), None)

    def _asked(self, question: Callable[[Any], Any], otherwise: Any) -> Steps[Any]:
        """What the server says; `otherwise` where it is away, or refuses."""
        if not self._breaker.asks(self._clock()):
            self._count("errors")
            return otherwise
        redis = redis_package()
        try:
            client = yield self._client
            answer = yield partial(question, client)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self._count("errors")
            if self._breaker.failed(self._clock()):
                _log.warning("%r does not answer; until it is back its entries are misses: %s", self, error)
            return otherwise
        except redis.RedisError as error:  # of this one question
            self._count("errors")
            _log.warning("%r refuses: %s", self, error)
            return otherwise
        if self._breaker.answered():
            _log.warning("%r answers again", self)
        return answer

    def _found(self, name: bytes) -> Steps[Found | None]:
        data, milliseconds = yield from self._asked(partial(_ask_for, name), (None, 0))
        if data is None or (milliseconds <= 0 and milliseconds != _FOR_EVER):  # it expired between the two questions
            return None
        found = yield from self._decoded(name, data, milliseconds)
        return found

    def _decoded(self, name: bytes, data: bytes, milliseconds: int) -> Steps[Found | None]:
        try:
            return Found(self._serializer.loads(data), None if milliseconds == _FOR_EVER else milliseconds / 1e3)
        except Exception as error:
            _log.warning("%r: the entry %r cannot be read and is removed: %s", self, name, error)
            self._count("corrupt")
            yield from self._asked(lambda client: client.delete(name), None)
            return None

    def _client(self) -> Any:
        raise NotImplementedError

    def _new_client(self, package: Any) -> Any:
        limits = {"socket_timeout": self._timeout, "socket_connect_timeout": self._timeout}
        return package.Redis.from_url(self._url, **limits)

    def _release(self, name: bytes, token: str) -> Any:
        """Give a claim back."""
        raise NotImplementedError

    def _release_later(self, release: Callable[[], Any]) -> None:
        """The same, where nobody waits for it."""
        raise NotImplementedError

    def _name(self, key: str, kind: str = _VALUES) -> bytes:
        if not isinstance(key, str):
            raise CacheValueError(repr(self), f"the key {key!r} is no text")
        return f"{self._prefix}{kind}{key}".encode(errors="surrogatepass")

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1


def redis_package(asynchronous: bool = False) -> Any:
    """redis-py.

    Raises
    ------
    MissingExtra
    """
    try:
        import redis
        import redis.asyncio
    except ImportError:
        raise MissingExtra("RedisCache", "redis", "redis") from None
    return redis.asyncio if asynchronous else redis


def _ask_for(name: bytes, client: Any) -> Any:
    pipeline = client.pipeline(transaction=False)
    pipeline.get(name)
    pipeline.pttl(name)
    return pipeline.execute()


def _scan(pattern: str, cursor: int, client: Any) -> Any:
    return client.scan(cursor, match=pattern, count=_AT_ONCE)


def _unlink(names: list[bytes], client: Any) -> Any:
    return client.unlink(*names)
