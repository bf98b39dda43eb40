"""Keys of caches outside of this process, as bytes. Text stays text; other plain data is written as a Python literal."""

from __future__ import annotations

import ast
import math
from collections.abc import Hashable
from types import NoneType
from typing import Any, Final

from pytest_perfguard.core.tool_errors import CacheValueError

#: Begins a key that is not text, and text that itself begins with this character.
_LITERAL: Final = b"\0"
_SCALARS: Final = frozenset({str, bytes, int, bool, NoneType})


def encode_key(key: Hashable, cache: str) -> bytes:
    """Return a key as bytes. Keys of different types are different keys: 1, 1.0, True and "1".

    Raises
    ------
    CacheValueError
        if the key is not plain data: text, bytes, finite numbers, True, False, None, and tuples of these.
    """
    if type(key) is str:
        try:
            name = key.encode()
        except UnicodeEncodeError:
            name = key.encode(errors="surrogatepass")
        return name if not name.startswith(_LITERAL) else _literal(key)
    if isinstance(key, str):  # of a subclass, such as a member of an enumeration
        return encode_key(str.__str__(key), cache)
    if not _is_plain(key):
        problem = f"the key {key!r} is not plain data; give text, bytes, numbers, or tuples of these"
        raise CacheValueError(cache, problem)
    return _literal(key)


def decode_key(name: bytes) -> Any:
    """Return the key that `encode_key` has converted."""
    if name.startswith(_LITERAL):
        return ast.literal_eval(name[1:].decode(errors="surrogatepass"))
    return name.decode(errors="surrogatepass")


def _literal(key: Hashable) -> bytes:
    return _LITERAL + repr(key).encode(errors="surrogatepass")


def _is_plain(key: Any) -> bool:
    kind = type(key)
    if kind is tuple:
        return all(map(_is_plain, key))
    return kind in _SCALARS or (kind is float and math.isfinite(key))
