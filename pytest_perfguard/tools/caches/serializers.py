"""How values become bytes. Anything with `dumps` and `loads` will do, such as the module `pickle` where the user asks for it."""

from __future__ import annotations

import json
from typing import Any, Final, Protocol

from pytest_perfguard.core.tool_errors import CacheValueError


class Serializer(Protocol):
    """Makes bytes of values, and values of bytes."""

    def dumps(self, value: Any, /) -> bytes:
        """The value as bytes."""

    def loads(self, data: bytes, /) -> Any:
        """The value again."""


class JsonSerializer:
    """JSON, and only of what comes back as it is: a tuple would be a list, and the key 1 of a mapping "1"."""

    def dumps(self, value: Any, /) -> bytes:
        """The value as UTF-8.

        Raises
        ------
        CacheValueError
        """
        try:
            text = json.dumps(value, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise CacheValueError("JSON", f"{error}; give the cache a serializer, such as pickle") from None
        if not _same(value, json.loads(text)):
            raise CacheValueError(
                "JSON",
                f"{_shortened(value)} would come back as {_shortened(json.loads(text))}; give the cache a serializer, such as pickle",
            )
        return text.encode()

    def loads(self, data: bytes, /) -> Any:
        """The value again; ValueError if the bytes are no JSON."""
        return json.loads(data)


JSON: Final = JsonSerializer()
_SHOWN: Final = 60


def _same(value: Any, back: Any) -> bool:
    """Is it of the same types throughout? Equal it then is: JSON changes no numbers and no text."""
    if type(value) is not type(back):
        return False
    if type(value) is dict:
        return value.keys() == back.keys() and all(_same(item, back[key]) for key, item in value.items())
    if type(value) is list:
        return all(_same(item, other) for item, other in zip(value, back, strict=True))
    return True


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
