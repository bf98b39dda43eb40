"""Serializers turn values into bytes. Any object with `dumps` and `loads` is one, such as the modules `pickle` and `json`."""

from __future__ import annotations

import json
from types import NoneType
from typing import Any, Final, Protocol

from pytest_perfguard.core.tool_errors import CacheValueError


class Serializer(Protocol):
    """Converts values to bytes and back."""

    def dumps(self, value: object, /) -> bytes | str:
        """Return the value as bytes, or as text that is stored as UTF-8."""

    def loads(self, data: bytes, /) -> Any:
        """Return the value that `dumps` has converted."""


class JsonSerializer:
    """JSON for values that JSON returns unchanged. A tuple would become a list, and the key 1 of a mapping "1"."""

    def dumps(self, value: object, /) -> bytes:
        """Return the value as UTF-8 text.

        Raises
        ------
        CacheValueError
            if JSON cannot represent the value, or would return a different one.
        """
        try:
            text = _encode(value)
            unchanged = _is_plain(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise CacheValueError("JSON", f"{error}; give the cache a serializer, such as pickle") from None
        if not unchanged:
            raise CacheValueError(
                "JSON",
                f"{shortened(value)} would come back as {shortened(json.loads(text))}; "
                "give the cache a serializer, such as pickle",
            )
        return text.encode()

    def loads(self, data: bytes, /) -> Any:
        """Return the value; raise ValueError if the bytes are not JSON."""
        text = data.decode()
        try:
            value, end = _decode(text)
        except ValueError:  # white space comes first, or it is not JSON
            return json.loads(text)
        return value if end == len(text) else json.loads(text)


JSON: Final = JsonSerializer()
MAX_SHOWN: Final = 60

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
#: Without the search for white space around the text, which takes as long as the decoding of a small value.
_decode: Final = json.JSONDecoder().raw_decode
_SCALARS: Final = frozenset({str, int, float, bool, NoneType})


def encoded(serializer: Serializer, value: object, cache: str) -> bytes:
    """Return the value as bytes.

    Raises
    ------
    CacheValueError
        if the serializer refuses the value, or returns neither bytes nor text.
    """
    try:
        data = serializer.dumps(value)
    except CacheValueError:
        raise
    except Exception as error:  # pickle alone raises PicklingError, TypeError, AttributeError, RecursionError
        problem = f"the serializer cannot convert {shortened(value)}: {type(error).__name__}: {error}"
        raise CacheValueError(cache, problem) from error
    if isinstance(data, str):
        return data.encode(errors="surrogatepass")
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise CacheValueError(cache, f"the serializer returned {shortened(data)}, expected bytes")


def _is_plain(value: Any) -> bool:
    """Return whether all types are those that JSON returns. JSON changes no numbers and no text of these types."""
    kind = type(value)
    if kind is dict:
        if not all(type(key) is str for key in value):
            return False
        value = value.values()
    elif kind is not list:
        return kind in _SCALARS
    return _SCALARS.issuperset(map(type, value)) or all(map(_is_plain, value))


def shortened(value: object) -> str:
    """Return the beginning of a value's repr, or its type if that fails."""
    try:
        text = repr(value)
    except Exception as error:  # a message about a value must not fail because of the value
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
