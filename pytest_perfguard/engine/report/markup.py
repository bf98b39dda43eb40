"""HTML markup. All text from tests and users passes through `escape`."""

from __future__ import annotations

import html
from importlib import resources

from pytest_perfguard.core.text import printable
from pytest_perfguard.engine.report.links import is_web_address


def escape(text: str) -> str:
    """Return text for HTML: special characters escaped, control characters made visible."""
    return html.escape("\n".join(printable(line) for line in text.split("\n")))


def tag(name: str, content: str = "", **attributes: object) -> str:
    """Return an element around `content`, which is HTML; `class_` and `data_x` stand for `class` and `data-x`."""
    named = {key.strip("_").replace("_", "-"): value for key, value in attributes.items()}
    text = "".join(f' {key}="{escape(str(value))}"' for key, value in named.items())
    return f"<{name}{text}>{content}</{name}>"


def link(text: str, address: str) -> str:
    """Return text that leads to a web address; only the text where the address is not one."""
    return tag("a", escape(text), href=address) if is_web_address(address) else escape(text)


def badge(word: str, text: str = "") -> str:
    """Return an outcome as a coloured word."""
    return tag("b", escape(text or word), class_=word)


def facts(rows: dict[str, str]) -> str:
    """Return a list of names and values, which are HTML; rows without a value are left out."""
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows.items() if value)
    return f"<dl>{listed}</dl>"


def asset(name: str) -> str:
    """Return a file of the page, without indentation, empty lines and lines that are comments."""
    path = resources.files("pytest_perfguard.engine.report") / "assets" / name
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("// "))


def filled(template: str, parts: dict[str, str]) -> str:
    """Return the template with each `@@name@@` replaced, in one pass: a test named like a placeholder is not replaced."""
    pieces = template.split("@@")
    return "".join(parts[piece] if index % 2 else piece for index, piece in enumerate(pieces))
