"""HTML markup. All text from tests and users passes through `escape`."""

from __future__ import annotations

import html

from pytest_perfguard.core.text import printable


def escape(text: str) -> str:
    """Return text for HTML: special characters escaped, control characters made visible."""
    return html.escape("\n".join(printable(line) for line in text.split("\n")))


def tag(name: str, content: str = "", **attributes: object) -> str:
    """Return an element around `content`, which is HTML; `class_` and `data_x` stand for `class` and `data-x`."""
    named = {key.strip("_").replace("_", "-"): value for key, value in attributes.items()}
    text = "".join(f' {key}="{escape(str(value))}"' for key, value in named.items())
    return f"<{name}{text}>{content}</{name}>"
