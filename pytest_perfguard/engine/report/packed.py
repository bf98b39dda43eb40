"""Data in a page, compressed: the details of tests take a tenth of the room, and the browser unpacks them by itself."""

from __future__ import annotations

import base64
import gzip
import json


def packed(data: object) -> str:
    """Return JSON as gzip in base64, which contains nothing that could end an element. The same data gives the same text."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "surrogatepass"), 9, mtime=0)).decode("ascii")


def unpacked(text: str) -> object:
    """Return the data of `packed`."""
    return json.loads(gzip.decompress(base64.b64decode(text)))
