"""The planted causes of benchmarks/explanations.py: edits of real modules, and of small programs where a server is needed.

A real module is one of the standard library, written in Python, of which the script copies the source into a project; so
the benchmark needs no download. The guilty function is the one whose code the edit changes.
"""

# ruff: noqa: E501 - an edit of source text stands on one line

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Case:
    """One planted cause."""

    kind: str
    name: str
    source: str
    """The module as it was."""
    old: str
    """Text of the module ..."""
    new: str
    """... and what replaces it."""
    test: str
    """Body of the test; the module is `lib`."""
    guilty: str
    """Qualified name of the function that the edit changes."""
    memory: bool = False
    """Is the loss one of memory?"""
    real: bool = False
    """Is the module one of the standard library, or of an installed package?"""
    package: str = ""
    """Folder of the installed package that is copied into the project; empty: the module is copied alone, as `lib`."""
    module: str = ""
    """The module's file in the package."""

    @property
    def head(self) -> str:
        """The edited module."""
        if self.old not in self.source:
            raise ValueError(f"{self.name}: this Python's source does not hold {self.old!r}")
        return self.source.replace(self.old, self.new, 1)


def _real(kind: str, module: str, old: str, new: str, test: str, guilty: str, *, memory: bool = False) -> Case:
    source = inspect.getsource(import_module(module))
    if module == "bisect":
        source = source.partition("# Overwrite above definitions")[0]  # by those in C
    return Case(kind, f"{module}.{guilty}", source, old, new, test, guilty, memory, real=True)


SHOP = """
import contextlib, json, hashlib, re, sqlite3, threading, time, zlib, asyncio, copy, functools, pickle

def connect():
    db = sqlite3.connect(":memory:")
    db.executescript("create table orders(id integer primary key); create table lines(id integer primary key, "
        "order_id integer, amount real); create index by_order on lines(order_id);")
    for order in range(40):
        db.execute("insert into orders values (?)", (order,))
        db.executemany("insert into lines(order_id, amount) values (?, ?)", [(order, n) for n in range(5)])
    return db

DB = connect()

def amounts(db):
    rows = db.execute("select order_id, sum(amount) from lines group by order_id").fetchall()
    return [amount for _order, amount in rows]

def amount_of(db, order):
    return db.execute("select sum(amount) from lines where order_id = ?", (order,)).fetchone()[0]

def log_lines(db, texts):
    db.execute("create temp table if not exists log(text)")
    with db:
        db.executemany("insert into log values (?)", [(text,) for text in texts])
        db.execute("delete from log")

def report(db):
    return render(amounts(db)) + header(db)

def header(db):
    return "orders: %d" % len(names(db))

def names(db):
    return db.execute("select id from orders").fetchall()

def render(values):
    return ", ".join("%.2f" % value for value in values)

RATES = {"EUR": 1.0, "USD": 1.1, "GBP": 0.9}

@functools.lru_cache(maxsize=None)
def rate(currency):
    return sum(RATES[currency] * n for n in range(50))

def convert(amounts, currency):
    return [convert_one(amount, currency) for amount in amounts]

def convert_one(amount, currency):
    return round(amount * rate(currency), 2)

class Catalogue:
    def __init__(self):
        self.items = {n: {"name": "item %d" % n, "tags": ["a", "b", str(n)]} for n in range(200)}
        self.texts = {}
    def get(self, number):
        return self.items.get(number)
    def text(self, number):
        found = self.texts.get(number)
        if found is None:
            found = self.texts[number] = self.describe(number)
        return found
    def describe(self, number):
        item = self.get(number)
        return " ".join(sorted(item["tags"] * 5)) + item["name"]
    def all_texts(self):
        return [self.text(number) for number in self.items]
    def checksum(self):
        return hashlib.sha256(json.dumps(self.items).encode()).hexdigest()
    def found(self, numbers):
        return [self.get(number) for number in numbers]

CATALOGUE = Catalogue()

def unique(values):
    seen = set()
    result = []
    for value in values:
        if value not in seen:
            seen.add(value)
            result.append(value)
    return result

def common(left, right):
    known = frozenset(right)
    return [value for value in left if value in known]

def flatten(tree):
    result, stack = [], [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(reversed(node))
        else:
            result.append(node)
    return result

def depth_sum(values):
    total = 0
    for value in values:
        total += value
    return total

def to_int(text, default=0):
    if text.isdigit():
        return int(text)
    return default

def parse_all(texts):
    return [to_int(text) for text in texts]

def save(items):
    text = json.dumps(items)
    return len(text) + len(pickle.dumps(items))

def send(items):
    return [pack(item) for item in items]

def pack(item):
    return zlib.compress(repr(item).encode() * 200, 1)

def token(password):
    return hashlib.pbkdf2_hmac("sha256", password, b"salt", 20)

def login(names):
    return [token(name.encode()) for name in names]

def largest(values, count):
    return sorted(values)[-count:]

def joined(values):
    return "".join([str(value) for value in values])

LOCK = threading.Lock()

def counted(values):
    with LOCK:
        return sum(values)

def poll(values):
    counted(values)
    return check(values)

def check(values):
    return max(values) - min(values)

def words(text):
    return WORD.findall(text)

WORD = re.compile("[a-z]+[0-9]*")

def count_words(texts):
    return sum(len(words(text)) for text in texts)

def loads(text):
    return json.loads(text)

def handle(texts):
    return [loads(text) for text in texts]

async def fetch(number):
    await asyncio.sleep(0.002)
    return number

async def fetch_all(numbers):
    return await asyncio.gather(*(fetch(number) for number in numbers))

async def page(numbers):
    found = await fetch_all(numbers)
    return await finish(found)

async def finish(found):
    await asyncio.sleep(0.001)
    return sum(found)

def rows(count):
    for n in range(count):
        yield n * 1.5

def total(count):
    return sum(rows(count))

def squares(count):
    return sum(n * n for n in range(count))

def window(values):
    return max(values[index] for index in range(len(values)))

def threaded(values):
    return with_pool(values)

def with_pool(values):
    found = []
    thread = threading.Thread(target=lambda: found.append(crunch(values)))
    thread.start()
    thread.join()
    return found[0]

def crunch(values):
    return sum(value * value for value in values)
"""


def _shop(kind: str, name: str, old: str, new: str, test: str, guilty: str, *, memory: bool = False) -> Case:
    return Case(kind, name, SHOP, old, new, test, guilty, memory)


TEXTS = "['%d' % n if n % 2 else 'x%d' % n for n in range(300)]"

CASES = (
    # A call moved into a loop
    _real(
        "call in a loop", "difflib", "            alo, ahi, blo, bhi = queue.pop()",
        "            alo, ahi, blo, bhi = queue.pop()\n            self.__chain_b()",
        "lib.SequenceMatcher(None, list('abcdefgh' * 6), list('abxdefgh' * 6)).get_matching_blocks()",
        "SequenceMatcher.get_matching_blocks",
    ),
    _real(
        "call in a loop", "textwrap", "            cur_len = 0\n",
        "            cur_len = 0\n            self._fix_sentence_endings(list(chunks))\n",
        "lib.wrap('The quick brown fox jumps over the lazy dog. ' * 20, 30)", "TextWrapper._wrap_chunks",
    ),
    _shop(
        "call in a loop", "header rendered for each value", 'return ", ".join("%.2f" % value for value in values)',
        'return ", ".join("%.2f" % value + header(DB) for value in values)', "lib.report(lib.DB)", "render",
    ),
    # A quadratic membership test
    _real(
        "quadratic membership", "graphlib", "        seen = set()\n        node2stacki", "        seen = type('Seen', (list,), {'add': list.append})()\n        node2stacki",
        "s = lib.TopologicalSorter({n: [n + 1] for n in range(150)}); s.prepare()", "TopologicalSorter._find_cycle",
    ),
    _shop("quadratic membership", "unique", "seen = set()\n    result = []", "seen = type('Seen', (list,), {'add': list.append})()\n    result = []", "lib.unique(range(300))", "unique"),
    _shop("quadratic membership", "common", "known = frozenset(right)", "known = list(right)", "lib.common(range(200), range(200))", "common"),
    # A lost cache
    _real(
        "lost cache", "fnmatch", "@functools.lru_cache(maxsize=32768, typed=True)\n", "",
        "lib.filter(['a.py', 'b.txt'] * 10, '*.py')", "_compile_pattern",
    ),
    _real(
        "lost cache", "ipaddress", "    @functools.cached_property\n    def broadcast_address", "    @property\n    def broadcast_address",
        "[NET.num_addresses for _ in range(30)]", "_BaseNetwork.broadcast_address",
    ),
    _shop("lost cache", "rate", "@functools.lru_cache(maxsize=None)\n", "", "lib.convert(range(40), 'USD')", "rate"),
    _shop(
        "lost cache", "texts", "found = self.texts[number] = self.describe(number)", "found = self.describe(number)",
        "lib.CATALOGUE.all_texts()", "Catalogue.text",
    ),
    # A regular expression compiled per call
    _real(
        "regex per call", "shlex", "if _find_unsafe(s) is None", "if re.compile(r'[^\\w@%+=:,./-]', re.ASCII).search(s) is None",
        "[lib.quote('file%d' % n) for n in range(30)]", "quote",
    ),
    _shop("regex per call", "words", "return WORD.findall(text)", "return re.findall('[a-z]+[0-9]*', text)", "lib.count_words(['abc1 d2'] * 40)", "words"),
    _shop(
        "regex per call", "words, cache purged", "return WORD.findall(text)",
        "re.purge(); return re.compile('[a-z]+[0-9]*').findall(text)", "lib.count_words(['abc1 d2 ' * 50] * 4)", "words",
    ),
    # A needless copy
    _real(
        "needless copy", "statistics", "    data = sorted(data)\n    n = len(data)\n    if n == 0:\n        raise StatisticsError(\"no median for empty data\")\n    if n % 2 == 1:\n        return data[n // 2]\n    else",
        "    import copy\n    data = sorted(copy.deepcopy(data))\n    n = len(data)\n    if n == 0:\n        raise StatisticsError(\"no median for empty data\")\n    if n % 2 == 1:\n        return data[n // 2]\n    else",
        "lib.median(DATA)", "median",
    ),
    _real(
        "needless copy", "configparser", "        orig_keys = list(d.keys())",
        "        import copy\n        d = copy.deepcopy(d)\n        orig_keys = list(d.keys())", "PARSER.items('s')", "RawConfigParser.items",
    ),
    _shop("needless copy", "get", "return self.items.get(number)", "return dict(self.items).get(number)", "lib.CATALOGUE.found(range(50))", "Catalogue.get"),
    # Deep recursion
    _real(
        "deep recursion", "bisect", "        while lo < hi:\n            mid = (lo + hi) // 2\n            if x < a[mid]:\n                hi = mid\n            else:\n                lo = mid + 1\n    else:\n        while lo < hi:\n            mid = (lo + hi) // 2\n            if x < key(a[mid]):",
        "        if lo < hi:\n            return bisect_right(a, x, lo + 1, hi) if x >= a[lo] else lo\n    else:\n        while lo < hi:\n            mid = (lo + hi) // 2\n            if x < key(a[mid]):",
        "[lib.bisect_right(DATA, n) for n in range(0, 100, 10)]", "bisect_right",
    ),
    _shop(
        "deep recursion", "flatten", "    result, stack = [], [tree]", "    if isinstance(tree, list):\n        return [leaf for node in tree for leaf in flatten(node)]\n    return [tree]\n    result, stack = [], [tree]",
        "lib.flatten([[[[n], n], [n]] for n in range(60)])", "flatten",
    ),
    _shop(
        "deep recursion", "depth_sum", "    total = 0\n    for value in values:", "    return values[0] + depth_sum(values[1:]) if values else 0\n    for value in values:",
        "lib.depth_sum(list(range(150)))", "depth_sum",
    ),
    # An exception as control flow
    _real(
        "exception", "ipaddress", "        if not octet_str:\n            raise ValueError(\"Empty octet not permitted\")",
        "        try:\n            {}[octet_str]\n        except KeyError:\n            pass", "[lib.ip_address('10.1.2.%d' % n) for n in range(20)]",
        "_BaseV4._parse_octet",
    ),
    _shop(
        "exception", "to_int", "    if text.isdigit():\n        return int(text)\n    return default",
        "    try:\n        return int(text)\n    except ValueError:\n        return default", f"lib.parse_all({TEXTS})", "to_int",
    ),
    # Extra serialisation
    _shop("serialisation", "save", "text = json.dumps(items)", "text = json.dumps(json.loads(json.dumps(items)))", "lib.save(lib.CATALOGUE.items)", "save"),
    _shop(
        "serialisation", "checksum", "hashlib.sha256(json.dumps(self.items).encode())", "hashlib.sha256(json.dumps(self.items, indent=1).encode())",
        "lib.CATALOGUE.checksum()", "Catalogue.checksum",
    ),
    _shop("serialisation", "loads", "return json.loads(text)", "return json.loads(json.dumps(json.loads(text)))", "lib.handle(['{\"a\": [1, 2, 3]}'] * 30)", "loads"),
    # A slower builtin
    _real(
        "slower builtin", "statistics", "        total = fsum(data)\n        if not n:", "        total = 0.0\n        for each in data:\n            total += each\n        if not n:",
        "lib.fmean(DATA)", "fmean",
    ),
    _real(
        "slower builtin", "urllib.parse", "    return ''.join([quoter(char) for char in bs])",
        "    text = ''\n    for char in bs:\n        text = ''.join([text, quoter(char)])\n    return text", "lib.quote('a b' * 100)", "quote_from_bytes",
    ),
    _shop("slower builtin", "largest", "return sorted(values)[-count:]", "return [sorted(values, key=lambda value: value)[-n - 1] for n in range(count)]", "lib.largest(list(range(100)), 3)", "largest"),
    # A sleep or a lock
    _real(
        "sleep or lock", "fnmatch", "    match = _compile_pattern(pat)\n    if", "    import time; time.sleep(0.0005)\n    match = _compile_pattern(pat)\n    if",
        "lib.filter(['a.py', 'b.txt'] * 10, '*.py')", "filter",
    ),
    _shop("sleep or lock", "check", "return max(values) - min(values)", "time.sleep(0.001); return max(values) - min(values)", "lib.poll(range(500))", "check"),
    _shop(
        "sleep or lock", "a lock with a time-out", "    with LOCK:\n        return sum(values)", "    with LOCK:\n        LOCK.acquire(timeout=0.001)\n        return sum(values)",
        "lib.poll(range(500))", "counted",
    ),
    # An import inside of a function
    _real(
        "import in a function", "shlex", "    if not s:\n        return \"''\"", "    from importlib import import_module\n    import xml.sax.handler\n    import_module('json.decoder')\n    if not s:\n        return \"''\"",
        "[lib.quote('file%d' % n) for n in range(30)]", "quote",
    ),
    _shop("import in a function", "convert_one", "return round(amount", "import xml.dom.minidom, email.mime.text\n    return round(amount", "lib.convert(range(40), 'USD')", "convert_one"),
    # Concurrent work made sequential
    _shop(
        "gather made sequential", "fetch_all", "return await asyncio.gather(*(fetch(number) for number in numbers))",
        "return [await fetch(number) for number in numbers]", "lib.asyncio.run(lib.page(range(5)))", "fetch_all",
    ),
    _shop(
        "gather made sequential", "fetch_all, in the test's loop", "return await asyncio.gather(*(fetch(number) for number in numbers))",
        "return [await fetch(number) for number in numbers]", "await lib.page(range(5))", "fetch_all",
    ),
    # N+1 queries
    _shop(
        "N+1 queries", "amounts", '    rows = db.execute("select order_id, sum(amount) from lines group by order_id").fetchall()\n    return [amount for _order, amount in rows]',
        '    return [amount_of(db, order) for order, in db.execute("select id from orders").fetchall()]', "lib.report(lib.DB)", "amounts",
    ),
    _shop(
        "N+1 queries", "log_lines", '        db.executemany("insert into log values (?)", [(text,) for text in texts])',
        '        for text in texts:\n            db.execute("insert into log values (?)", (text,))', "lib.log_lines(lib.DB, ['x'] * 60)", "log_lines",
    ),
    # A larger constant in C code
    _shop("constant in C", "token", 'b"salt", 20)', 'b"salt", 60)', "lib.login(['ann', 'bob', 'eve'])", "token"),
    _shop("constant in C", "pack", ".encode() * 200, 1)", ".encode() * 200, 9)", "lib.send(range(5))", "pack"),
    # A generator made a list, and other memory
    _shop("generator made a list", "rows", "    for n in range(count):\n        yield n * 1.5", "    return [n * 1.5 for n in range(count)]", "lib.total(3000)", "rows", memory=True),
    _shop("generator made a list", "squares", "return sum(n * n for n in range(count))", "return sum([n * n for n in range(count)])", "lib.squares(3000)", "squares", memory=True),
    _real(
        "generator made a list", "heapq", "def nsmallest(n, iterable, key=None):\n", "def nsmallest(n, iterable, key=None):\n    iterable = [float(each) for each in iterable]\n",
        "lib.nsmallest(3, range(3000))", "nsmallest", memory=True,
    ),
    # Threads
    _shop("slower in a thread", "crunch", "return sum(value * value for value in values)", "return sum(int(str(value * value)) for value in values)", "lib.threaded(range(500))", "crunch"),
)  # fmt: skip
