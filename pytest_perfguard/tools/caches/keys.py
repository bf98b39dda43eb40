"""Keys of caches outside of this process, as bytes. Text stays text; other plain data is written as a Python literal."""

from __future__ import annotations

import ast
import math
from collections.abc import Hashable
from types import NoneType
from typing import Any, Final

from pytest_perfguard.core.tool_errors import CacheValueError
from pytest_perfguard.tools.caches.serializers import shortened

#: Begins a key that is not text, and text that itself begins with this character.
_LITERAL: Final = b"\0"
_SCALARS: Final = frozenset({str, bytes, int, bool, NoneType})
#: Tuples in one another. Python's parser reads 200 levels.
_MAX_DEPTH: Final = 100


def encode_key(key: Hashable, cache: str) -> bytes:
    """Return a key as bytes. Keys of different types are different keys: 1, 1.0, True and "1".

    Raises
    ------
    CacheValueError
        if the key is not plain data: text, bytes, finite numbers, True, False, None, and tuples of these, up to 100 levels deep.
    """
    if type(key) is str:
        try:
            name = key.encode()
        except UnicodeEncodeError:
            name = key.encode(errors="surrogatepass")
        return name if not name.startswith(_LITERAL) else _literal(key)
    if isinstance(key, str):  # of a subclass, such as a member of an enumeration
        return encode_key(str.__str__(key), cache)
    if not _is_plain(key, _MAX_DEPTH):
        problem = f"the key {shortened(key)} is not plain data; give text, bytes, numbers, or tuples of these"
        raise CacheValueError(cache, problem)
    try:
        return _literal(key)
    except ValueError as error:  # Python refuses to write integers of more than 4,300 digits
        raise CacheValueError(cache, f"the key cannot be written: {error}") from None


def decode_key(name: bytes) -> Any:
    """Return the key that `encode_key` has converted."""
    if name.startswith(_LITERAL):
        return ast.literal_eval(name[1:].decode(errors="surrogatepass"))
    return name.decode(errors="surrogatepass")


def _literal(key: Hashable) -> bytes:
    return _LITERAL + repr(key).encode(errors="surrogatepass")


def _is_plain(key: Any, depth: int) -> bool:
    kind = type(key)
    if kind is tuple:
        return depth > 0 and all(_is_plain(part, depth - 1) for part in key)
    return kind in _SCALARS or (kind is float and math.isfinite(key))
