"""Which tests are perf tests, and which test of the run a measuring process serves: the run's own meaning of an id counts."""

from __future__ import annotations

import os

import pytest

from tests.plugin.conftest import last_perf_line

#: One metric that needs no time to be told.
QUICK = ("--perf", "--perf-metrics=memory")

PLAIN = """
def test_bench():
    pass

def test_other():
    pass
"""
#: Hooks that mark, or unmark, replace, move or rename a test, by what they are about; with the perf tests that there are then.
HOOKS = {
    "marked": (
        """
        def pytest_collection_modifyitems(items):
            for item in items:
                if "bench" in item.name:
                    item.add_marker(pytest.mark.perf)
        """,
        ["test_bench"],
    ),
    "marked last": (
        """
        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_collection_modifyitems(items):
            yield
            items[0].add_marker("perf")
        """,
        ["test_bench"],
    ),
    "marked after the hook for items": (
        """
        @pytest.hookimpl(trylast=True)
        def pytest_collection_finish(session):
            session.items[0].add_marker("perf")
        """,
        ["test_bench"],
    ),
    "marked around the collection": (
        """
        @pytest.hookimpl(wrapper=True)
        def pytest_collection(session):
            yield
            session.items[0].add_marker("perf")
        """,
        ["test_bench"],
    ),
    "unmarked": (
        """
        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker("perf")
        @pytest.hookimpl(trylast=True)
        def pytest_collection_finish(session):
            session.items[1].own_markers.clear()
        """,
        ["test_bench"],
    ),
    "replaced": (
        """
        def pytest_collection_modifyitems(items):
            for index, item in enumerate(items):
                items[index] = pytest.Function.from_parent(item.parent, name=item.name)
                items[index].add_marker("perf")
        """,
        ["test_bench", "test_other"],
    ),
    "reordered": (
        """
        def pytest_collection_modifyitems(items):
            items.reverse()
            items[0].add_marker("perf")
            items[1].add_marker("perf")
        """,
        ["test_other", "test_bench"],
    ),
    "duplicated": (
        """
        def pytest_collection_modifyitems(items):
            items[0].add_marker("perf")
            items[:] = [items[0], items[0]]
        """,
        ["test_bench"],
    ),
    "added": (
        """
        def pytest_collection_modifyitems(items):
            for item in list(items):
                more = pytest.Function.from_parent(item.parent, name=f"{item.name}_again", callobj=item.obj)
                more.add_marker("perf")
                items.append(more)
        """,
        ["test_bench_again", "test_other_again"],
    ),
    "renamed": (
        """
        def pytest_collection_modifyitems(items):
            items[0].add_marker("perf")
            if hasattr(items[0], "_id"):  # since pytest 9.2
                items[0]._id = type(items[0]._id).parse(items[0].nodeid + "_renamed")
            else:
                items[0]._nodeid += "_renamed"
        """,
        ["test_bench_renamed"],
    ),
}


def measured(report):
    return [test["nodeid"].partition("::")[2] for test in report["tests"] if "time" in test or test["metrics"]]


@pytest.mark.parametrize("hooks", HOOKS)
def test_perf_tests_are_those_of_the_end_of_all_collection_hooks(project, hooks):
    text, expected = HOOKS[hooks]
    project.pytester.makepyfile(test_a=PLAIN)
    project.pytester.makeconftest("import pytest\n" + inset(text))
    result, report = project.report(*QUICK)
    assert result.ret == 0
    assert measured(report) == sorted(expected)


def inset(text):
    """The text as it stands at the margin."""
    lines = text.strip("\n").splitlines()
    return "\n".join(line.removeprefix(" " * 8) for line in lines)


@pytest.mark.thorough
@pytest.mark.plugins("xdist")
@pytest.mark.parametrize("hooks", ["marked after the hook for items", "unmarked"])
def test_a_marker_of_a_hook_crosses_xdist(project, hooks):
    project.pytester.makepyfile(test_a=PLAIN)
    project.pytester.makeconftest("import pytest\n" + inset(HOOKS[hooks][0]))
    _result, report = project.report(*QUICK, "-n2")
    assert measured(report) == ["test_bench"]


def test_a_wrong_marker_of_a_hook_is_a_usage_error(project, distribution):
    project.pytester.makepyfile(test_a=PLAIN)
    project.pytester.makeconftest(
        "import pytest\ndef pytest_collection_modifyitems(items):\n    items[0].add_marker(pytest.mark.perf(budgt='1s'))\n"
    )
    result = project.run("--perf", *distribution)
    assert result.ret == 4
    assert "budgt" in result.stderr.str() + result.stdout.str()


def test_a_shard_that_lost_a_test_before_a_hook_could_mark_it_does_not_miss_it(project):
    project.pytester.makepyfile(test_a=PLAIN)
    mark = "import pytest\ndef pytest_collection_modifyitems(items):\n    {}\n    for item in items:\n        item.add_marker('perf')\n"
    project.pytester.makeconftest(mark.format("pass"))
    assert project.run("--perf-baseline", "--perf-metrics=memory").ret == 0
    project.pytester.makeconftest(mark.format("del items[1:]"))
    _result, report = project.report("--perf-compare", "--perf-metrics=memory")
    assert report["summary"] == {"unchanged": 1}


#: Jobs of which each process has another order; what an id means is noted in a file.
JOBS = """
import random
import pytest
from functools import partial

def small(): pass
def big(): pass

class Job:
    def __init__(self, run): self.run = run

def work(id, meaning):
    # In the run, the lines say what an id means; everywhere, the memory does.
    if meaning in ("big", 2):
        bytes(1_000_000)
    with open("meanings", "a") as file:
        file.write(f"{id} {meaning}\\n")
"""
#: Ways to get there.
ORDERS = {
    "objects": "jobs = [Job(small), Job(big)]\nmeaning = lambda job: job.run.__name__",
    "functions": "jobs = [small, big]\nmeaning = lambda job: job.__name__",
    "lambdas": "jobs = [lambda: small(), lambda: big()]\nmeaning = lambda job: job.__code__.co_names[0]",
    "partials": "jobs = [partial(Job, small), partial(Job, big)]\nmeaning = lambda job: job.args[0].__name__",
    "dicts": "jobs = [{'n': 1}, {'n': 2}]\nmeaning = lambda job: job['n']",
    "methods": "jobs = [Job(small).__init__, Job(big).__init__]\nmeaning = lambda job: job.__self__.run.__name__",
}


def check_meanings(project, report):
    """Was each id measured as what it stood for in the run, which wrote its two lines first?"""
    lines = (project.path / "meanings").read_text().splitlines()[:2]
    big = {name for name, meaning in map(str.split, lines) if meaning in ("big", "2")}
    sizes = {test["nodeid"].partition("::")[2]: test["metrics"][0]["candidate"] for test in report["tests"]}
    assert len(sizes) == 2
    assert {name for name, size in sizes.items() if size > 500_000} == big


@pytest.mark.parametrize("order", ORDERS)
def test_an_id_means_in_every_process_what_it_means_in_the_run(project, order):
    project.pytester.makepyfile(
        JOBS + ORDERS[order] + "\nrandom.SystemRandom().shuffle(jobs)\n"
        "@pytest.mark.perf\n@pytest.mark.parametrize('job', jobs, ids=['job0', 'job1'])\n"
        "def test_job(job, request): work(request.node.name, meaning(job))\n"
    )
    result, report = project.report(*QUICK)
    assert result.ret == 0
    check_meanings(project, report)


def test_tests_that_a_loop_made_in_another_order_are_told_apart(project):
    project.pytester.makepyfile(
        JOBS + "jobs = [small, big]\nrandom.SystemRandom().shuffle(jobs)\n"
        "def make(job):\n"
        "    @pytest.mark.perf\n"
        "    def test(request): work(request.node.name, job.__name__)\n"
        "    return test\n"
        "test_0, test_1 = map(make, jobs)\n"
    )
    result, report = project.report(*QUICK)
    if result.ret == 0:
        check_meanings(project, report)
    else:
        result.stdout.fnmatch_lines(["*this test is another one in the measuring process than in the run*"])


def test_a_process_that_means_another_test_is_not_believed_and_says_so(project, distribution):
    project.pytester.makepyfile(
        """
        import os
        import sys
        import pytest

        class Job:
            def __init__(self, size): self.size = size

        IS_MEASURING = any(argument.startswith("--perf-child") for argument in sys.argv) or "child" in str(sys.orig_argv)

        @pytest.mark.perf
        @pytest.mark.parametrize("job", [Job(1 if IS_MEASURING else 1000)])
        def test_job(job):
            bytes(job.size)
        """
    )
    result = project.run(*QUICK, *distribution)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*this test is another one in the measuring process than in the run (parameter job differs)*PYTHONHASHSEED*"]
    )


def test_data_that_is_drawn_anew_is_no_other_test(project):
    project.pytester.makepyfile(
        """
        import datetime, os, random, tempfile, time, uuid
        import pytest

        class Sample:
            def __init__(self):
                self.values = [random.SystemRandom().random() for _ in range(100)]
                self.noise, self.at, self.since = os.urandom(100), time.time(), time.perf_counter()
                self.id, self.name, self.pid = uuid.uuid4(), uuid.uuid4().hex, os.getpid()
                self.folder, self.lock, self.self = tempfile.mkdtemp(), object(), self

        @pytest.mark.perf
        @pytest.mark.parametrize("sample", [Sample(), Sample()])
        @pytest.mark.parametrize("file", [__file__], ids=["file"])
        def test_sample(sample, file):
            sum(sample.values)
        """
    )
    result, report = project.report(*QUICK)
    assert result.ret == 0
    assert len(measured(report)) == 2


HASH = """
import os
import pytest

{other}

@pytest.mark.perf
def test_hash():
    with open("hashes", "a") as file:
        file.write(f"{{hash('a')}}\\n")
"""


@pytest.mark.parametrize("seed", ["0", "7", None])
def test_the_user_s_hash_seed_is_kept_and_none_is_drawn_anew(project, monkeypatch, seed):
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    if seed is not None:
        monkeypatch.setenv("PYTHONHASHSEED", seed)
    # One that a test sets is not the user's.
    other = "" if seed else "def test_leaves(): os.environ['PYTHONHASHSEED'] = '3'\n"
    project.pytester.makepyfile(HASH.format(other=other))
    assert project.run(*QUICK).ret == 0
    hashes = set((project.path / "hashes").read_text().split())
    assert len(hashes) == 1 if seed is not None else len(hashes) > 1


@pytest.mark.thorough
def test_two_tests_of_one_node_id_are_refused_with_both_files(project, distribution):
    for folder in ("config", "a", "b"):
        (project.path / folder).mkdir()
        (project.path / folder / "test_same.py").write_text(
            "import pytest\n@pytest.mark.perf\ndef test_it():\n    pass\n"
        )
    (project.path / "config" / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    result = project.run("-c", "config/pytest.ini", "a", "b", *QUICK, *distribution)
    assert result.ret == 4
    told = result.stderr.str() + result.stdout.str()
    assert "two perf tests have the node id test_same.py::test_it" in told
    assert str(project.path / "a" / "test_same.py") in told
    assert str(project.path / "b" / "test_same.py") in told
    assert project.run("-c", "config/pytest.ini", "a", *QUICK).ret == 0


def test_one_test_that_is_collected_twice_is_one_test(project):
    file = project.pytester.makepyfile("import pytest\n@pytest.mark.perf\ndef test_it(): pass\n").name
    result, report = project.report(*QUICK, "--keep-duplicates", file, file)
    assert result.ret == 0
    assert measured(report) == ["test_it"]


ADDRESSES = """
import pytest

class Codec:
    def __init__(self, level): self.level = level
    def encode(self): pass

@pytest.mark.perf
@pytest.mark.parametrize("codec", [Codec(1), Codec(2)], ids={ids})
def test_encode(codec):
    codec.encode()
"""


@pytest.mark.thorough
@pytest.mark.parametrize("ids", ["str", "lambda codec: hex(id(codec))", "lambda codec: str(codec.encode)"])
def test_ids_with_addresses_are_found_again_in_processes_and_later_runs(project, ids):
    project.pytester.makepyfile(ADDRESSES.format(ids=ids))
    result = project.run("--perf-baseline", "--perf-metrics=memory")
    assert result.ret == 0
    result, report = project.report("--perf-compare", "--perf-metrics=memory")
    assert result.ret == 0
    assert report["summary"] == {"unchanged": 2}
    assert all("0x..." in test["nodeid"] for test in report["tests"])


def test_an_id_that_only_looks_like_an_address_stays(project):
    project.pytester.makepyfile(
        "import pytest\n@pytest.mark.perf\n@pytest.mark.parametrize('n', [0xdeadbeef], ids=hex)\ndef test_it(n): pass\n"
    )
    _result, report = project.report(*QUICK)
    assert measured(report) == ["test_it[0xdeadbeef]"]


def test_ids_that_each_process_draws_are_named_with_what_to_do(project):
    project.pytester.makepyfile(
        """
        import os, random
        import pytest
        SIZES = random.SystemRandom().sample(range(10_000_000), 2)

        @pytest.mark.perf
        @pytest.mark.parametrize("size", SIZES)
        def test_size(size):
            pass
        """
    )
    result = project.run(*QUICK)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*the measuring process has no [[]*] of this test, but [[]*], [[]*]: its ids differ between processes*"]
    )


LEFT = """
import os, sys
import pytest

def test_leaves():
    os.environ["APP_MODE"] = "slow"
    os.environ.pop("APP_KEPT", None)
    sys.path.insert(0, "/nowhere")

@pytest.mark.perf
def test_perf():
    with open("seen", "a") as file:
        file.write(f"{os.environ.get('APP_MODE')} {os.environ.get('APP_KEPT')} {'/nowhere' in sys.path} {os.environ.get('OURS')}\\n")
"""


def test_what_a_test_leaves_in_the_environment_stays_out_of_the_measuring_and_is_told_once(project, monkeypatch):
    monkeypatch.setenv("APP_KEPT", "yes")
    project.pytester.makepyfile(LEFT)
    project.pytester.makeconftest("import os\nos.environ['OURS'] = 'set by a conftest'\n")
    result = project.run(*QUICK)
    assert result.ret == 0
    seen = (project.path / "seen").read_text().splitlines()
    assert seen[0] == "slow None True set by a conftest", "in the run"
    assert set(seen[1:]) == {"None yes False set by a conftest"}
    told = [line for line in result.outlines if "tests changed and did not restore" in line]
    assert told == [
        "perf: tests changed and did not restore: APP_KEPT, APP_MODE, sys.path; measuring processes start with the values from the "
        "beginning of the run"
    ]


def test_where_no_test_leaves_anything_nothing_is_told(project, distribution):
    project.pytester.makepyfile(test_a=PLAIN.replace("def test_b", "import pytest\n@pytest.mark.perf\ndef test_b"))
    project.pytester.makeconftest("import os\nos.environ['OURS'] = 'set by a conftest'\n")
    result = project.run(*QUICK, *distribution)
    assert "tests changed" not in result.stdout.str()
    assert last_perf_line(result).startswith("perf: 1 measured")
    assert os.environ.get("OURS") is None
