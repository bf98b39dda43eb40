"""Real servers on this machine; where one is absent, its tests are skipped and say so."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest

POSTGRESQL = os.environ.get(
    "PERFGUARD_POSTGRESQL", "host=127.0.0.1 port=5432 user=postgres dbname=postgres connect_timeout=3"
)
REDIS = os.environ.get("PERFGUARD_REDIS", "redis://127.0.0.1:6379/0")


@pytest.fixture(scope="session")
def postgresql():
    """How to connect to PostgreSQL."""
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg")
    try:
        psycopg.connect(POSTGRESQL).close()
    except psycopg.Error as error:
        pytest.skip(f"needs a PostgreSQL server, such as PERFGUARD_POSTGRESQL={POSTGRESQL!r}: {error}")
    return POSTGRESQL


@pytest.fixture(scope="session")
def redis_url():
    redis = pytest.importorskip("redis", reason="needs redis-py")
    try:
        redis.Redis.from_url(REDIS).ping()
    except redis.RedisError as error:
        pytest.skip(f"needs a Redis server, such as PERFGUARD_REDIS={REDIS!r}: {error}")
    return REDIS


class Proxy:
    """Passes bytes on to a server, and can stop to do so: a server that goes away for a while."""

    def __init__(self, host, port):
        self._target = host, port
        self._open = []
        self._listener = None
        self.port = 0
        self.start()

    def start(self):
        self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self):
        """Accept nobody, and cut off everybody."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _address = listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy_to_postgresql(postgresql):
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg")
    given = psycopg.conninfo.conninfo_to_dict(postgresql)
    proxy = Proxy(given.get("host", "127.0.0.1"), int(given.get("port", 5432)))
    proxy.conninfo = psycopg.conninfo.make_conninfo(postgresql, host="127.0.0.1", port=proxy.port)
    yield proxy
    proxy.stop()
