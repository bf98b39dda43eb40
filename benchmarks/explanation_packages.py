"""More planted causes for benchmarks/explanations.py: edits of installed packages, which no threshold was chosen by.

Each package of the test environment is copied into the project, with one of its modules edited. Packages that pytest
itself imports cannot be replaced.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from explanation_cases import Case

_MARKDOWN = "# Head\n\nSome *text* with `code` and [a link](http://example.org).\n\n- one\n- two **three**\n"
_HTML = "".join(f"<p class='a b n{number}'>text <b>{number}</b></p>" for number in range(30))
_SOUP = f"bs4.BeautifulSoup({_HTML!r}, 'html.parser')"
_TEMPLATE = 'jinja2.Template("".join("{{ v%d }}" % n for n in range(40)))'
_STEMMER = "snowballstemmer.stemmer('english')"


def _once(name: str, expression: str) -> str:
    """The text of an expression that is evaluated by the first call only."""
    return f"globals().get({name!r}) or globals().setdefault({name!r}, {expression})"


def _package(module: str, kind: str, guilty: str, old: str, new: str, test: str, *, memory: bool = False) -> Case:
    package, _dot, inner = module.partition(".")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"{package} is not installed: pip install 'perfguard[test]'")
    folder = Path(spec.origin).parent
    path = f"{inner.replace('.', '/') or '__init__'}.py"
    source = (folder / path).read_text(encoding="utf-8")
    return Case(
        kind, f"{package}: {guilty}", source, old, new, test, guilty, memory, real=True,
        package=str(folder), module=path,
    )  # fmt: skip


PACKAGE_CASES = [
    _package(
        "tabulate", "work done twice", "_column_type",
        "types = [_type(s, has_invisible, numparse) for s in strings]",
        "types = [_type(s, has_invisible, numparse) for s in strings for _ in (0, 1)]",
        'import tabulate\n    tabulate.tabulate([[str(i), "name %d" % i, i * 1.5] for i in range(20)])',
    ),
    _package(
        "jinja2.lexer", "lost cache", "get_lexer",
        "_lexer_cache[key] = lexer = Lexer(environment)", "lexer = Lexer(environment)",
        'import jinja2\n    list(jinja2.Environment().lex("{{ a }} and {{ b }}"))',
    ),
    _package(
        "jinja2.runtime", "membership in a list", "Context.resolve_or_missing",
        "if key in self.parent:", "if key in list(self.parent):",
        f"import jinja2\n    T = {_once('T', _TEMPLATE)}\n"
        '    T.render({"v%d" % n: n for n in range(40)})',
    ),
    _package(
        "markdown_it.ruler", "lost cache", "Ruler.getRules",
        "if self.__cache__ is None:", "if True:",
        f"import markdown_it\n    M = {_once('M', 'markdown_it.MarkdownIt()')}\n    M.render({_MARKDOWN!r})",
    ),
    _package(
        "markdown_it.parser_inline", "call moved into a loop", "ParserInline.tokenize",
        "for rule in rules:\n                    ok = rule(state, False)",
        "for rule in rules:\n                    self.ruler.get_active_rules()\n                    ok = rule(state, False)",
        f"import markdown_it\n    M = {_once('M', 'markdown_it.MarkdownIt()')}\n    M.render({_MARKDOWN!r} * 3)",
    ),
    _package(
        "sortedcontainers.sortedlist", "slower algorithm", "SortedList.add",
        "insort(_lists[pos], value)", "_lists[pos].append(value)\n                _lists[pos].sort()",
        "import sortedcontainers\n    S = sortedcontainers.SortedList()\n    for i in range(300):\n        S.add(i * 7919 % 1000)",
    ),
    _package(
        "yaml.resolver", "needless copy", "BaseResolver.resolve",
        "for tag, regexp in resolvers + wildcard_resolvers:",
        "for tag, regexp in sum(self.yaml_implicit_resolvers.values(), []) and resolvers + wildcard_resolvers:",
        'import yaml\n    yaml.load("- 1\\n- a: b\\n- [x, 2.5, yes]\\n" * 4, Loader=yaml.SafeLoader)',
    ),
    _package(
        "yaml.reader", "needless copy", "Reader.forward",
        "ch = self.buffer[self.pointer]\n", "ch = list(self.buffer)[self.pointer]\n",
        'import yaml\n    yaml.load("- 1\\n- a: b\\n- [x, 2.5, yes]\\n" * 12, Loader=yaml.SafeLoader)',
    ),
    _package(
        "urllib3.util.url", "lost fast path", "_encode_invalid_chars",
        '"%" not in component\n        and component.isascii()', 'False\n        and component.isascii()',
        'from urllib3.util import parse_url\n    parse_url("http://example.org/some/long/path/of/words?query=value&x=y#frag")',
    ),
    _package(
        "urllib3._collections", "slower than a builtin", "HTTPHeaderDict.add",
        "key_lower = key.lower()\n        new_vals", 'key_lower = "".join(char.lower() for char in key)\n        new_vals',
        'from urllib3 import HTTPHeaderDict\n    H = HTTPHeaderDict()\n    for i in range(30):\n        H.add("Header-Name-%d" % i, "x")',
    ),
    _package(
        "idna.core", "needless copy", "check_label",
        'if intranges_contain(cp_value, idnadata.codepoint_classes["PVALID"]):',
        'if intranges_contain(cp_value, tuple(list(idnadata.codepoint_classes["PVALID"]))):',
        'import idna\n    idna.encode("straße-und-weg.example")',
    ),
    _package(
        "idna.intranges", "linear search", "intranges_contain",
        "pos = bisect.bisect_left(ranges, tuple_)", "pos = len([one for one in ranges if one < tuple_])",
        'import idna\n    idna.encode("straße-und-weg.example")',
    ),
    _package(
        "prometheus_client.exposition", "work done twice", "generate_latest",
        "else:\n                    output.append(sample_line(s))",
        "else:\n                    sample_line(s)\n                    output.append(sample_line(s))",
        'import prometheus_client as p\n    R = p.CollectorRegistry()\n    C = p.Counter("n", "text", ["a", "b"], registry=R)\n'
        '    for i in range(30):\n        C.labels(str(i), "x").inc()\n    p.generate_latest(R)',
    ),
    _package(
        "requests.structures", "needless copy", "CaseInsensitiveDict.__setitem__",
        "self._store[key.lower()] = (key, value)",
        "self._store = OrderedDict(self._store)\n        self._store[key.lower()] = (key, value)",
        'from requests.structures import CaseInsensitiveDict\n    CaseInsensitiveDict({"Header-%d" % i: "x" for i in range(30)})',
    ),
    _package(
        "redis._parsers.encoders", "import in a function", "Encoder.encode",
        "value = value.encode(self.encoding, self.encoding_errors)",
        "from codecs import lookup\n            value = lookup(self.encoding).encode(value, self.encoding_errors)[0]",
        "from redis._parsers.encoders import Encoder\n    from redis.connection import PythonRespSerializer as S\n"
        '    S(6000, Encoder("utf-8", "strict", False).encode).pack("HSET", *["field%d" % i for i in range(40)])',
    ),
    _package(
        "redis.connection", "work done twice", "PythonRespSerializer.pack",
        "for arg in map(self.encode, args):\n            # to avoid",
        "for arg in list(map(self.encode, args)) and map(self.encode, args):\n            # to avoid",
        "from redis._parsers.encoders import Encoder\n    from redis.connection import PythonRespSerializer as S\n"
        '    S(6000, Encoder("utf-8", "strict", False).encode).pack("HSET", *["field%d" % i for i in range(40)])',
    ),
    _package(
        "babel.numbers", "regex compiled per call", "parse_pattern._match_number",
        "rv = _number_pattern_re.search(pattern)", "rv = re.compile(_number_pattern_re.pattern).search(pattern)",
        'from babel.numbers import parse_pattern\n    parse_pattern("#,##0.00;(#,##0.00)")',
    ),
    _package(
        "soupsieve.css_match", "call moved into a loop", "CSSMatch.match_classes",
        "if c not in current_classes:", "if c not in self.get_classes(el):",
        f"import bs4\n    B = {_once('B', _SOUP)}\n    B.select('p.a.b')",
    ),
    _package(
        "bs4.element", "generator made a list", "Tag._all_strings",
        "for descendant in self.descendants:\n            if not isinstance(descendant, Nav",
        "for descendant in [*self.descendants] and list(self.descendants):\n            if not isinstance(descendant, Nav",
        f"import bs4\n    B = {_once('B', _SOUP)}\n    B.get_text()",
    ),
    _package(
        "snowballstemmer.basestemmer", "needless copy", "BaseStemmer.find_among_b",
        "w = v[k]\n            for i2 in range(len(w.s) - 1 - common, -1, -1):",
        "w = [*v, *v, *v][k]\n            for i2 in range(len(w.s) - 1 - common, -1, -1):",
        f"import snowballstemmer\n    W = {_once('W', _STEMMER)}\n"
        '    W.stemWords(["measuring", "functions", "happily", "nationalities"])',
    ),
    _package(
        "sortedcontainers.sortedlist", "generator made a list", "SortedList.update",
        "values = sorted(iterable)\n",
        "values = sorted([(value,) for value in iterable])\n        values = [value[0] for value in values]\n",
        "import sortedcontainers\n    sortedcontainers.SortedList(number * 7919 % 20011 for number in range(20000))",
        memory=True,
    ),
]  # fmt: skip
