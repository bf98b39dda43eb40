"""The form of the pages: their width, and examples of configuration files that pytest takes."""

from __future__ import annotations

import re

import pytest

from pytest_perfguard.core.option_specs import OPTION_SPECS
from tests.docs.documents import PAGES, ROOT, blocks

WIDTH = 100
#: Pages whose prose is wrapped.
WRAPPED = {
    **PAGES,
    **{name: (ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "CHANGELOG.md")},
}
KEYS = {spec.ini for spec in OPTION_SPECS if spec.option}


@pytest.mark.parametrize("name", WRAPPED)
def test_prose_is_wrapped(name):
    """Rows of tables and lines of examples may be longer."""
    text = re.sub(r"^ *```.*?^ *```", "", WRAPPED[name], flags=re.DOTALL | re.MULTILINE)
    assert not [line for line in text.splitlines() if len(line) > WIDTH and not line.startswith("|")]


def test_the_architecture_fits_into_its_width_as_a_whole():
    assert not [line for line in PAGES["architecture.md"].splitlines() if len(line) > WIDTH]


@pytest.mark.parametrize("name", [name for name in PAGES if blocks(PAGES[name], "ini")])
def test_a_page_with_an_ini_file_shows_pyproject_with_the_same_keys(name):
    ini = [set(re.findall(r"^(\w+) *=", block, re.MULTILINE)) for block in blocks(PAGES[name], "ini")]
    toml = [set(re.findall(r"^(\w+) *=", block, re.MULTILINE)) for block in blocks(PAGES[name], "toml")]
    assert ini == toml


EXAMPLES = [
    (name, language, block)
    for name in sorted(PAGES)
    for language in ("ini", "toml")
    for block in blocks(PAGES[name], language)
    if "perf_" in block
]


@pytest.mark.parametrize(("name", "language", "block"), EXAMPLES, ids=lambda value: value.partition("\n")[0])
def test_an_example_of_a_configuration_file_is_taken(name, language, block, pytester):
    """Unknown keys and wrong values are errors, also where nothing is measured."""
    keys = set(re.findall(r"^(perf_\w+) *=", block, re.MULTILINE))
    assert keys
    assert keys <= KEYS
    pytester.path.joinpath({"ini": "pytest.ini", "toml": "pyproject.toml"}[language]).write_text(block)
    pytester.makepyfile("def test_a(): pass\n")
    for path in re.findall(r"\b(?:tests|benchmarks)/[\w.]*", block):  # perf_paths must exist
        place = pytester.path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch() if place.suffix else place.mkdir(exist_ok=True)
    done = pytester.runpytest_inprocess("--strict-config")
    done.assert_outcomes(passed=1)
