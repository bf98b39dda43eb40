"""Each use of pytest's private API has a fallback that works without it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_perfguard.plugin import pytest_internals as internals

SUITE = """
import pytest

@pytest.fixture
def broken():
    raise ValueError("set-up")

def test_passes(tmp_path):
    pass

def test_fails():
    assert 0

def test_has_no_set_up(broken):
    pass

def test_skips():
    pytest.skip("no")
"""


class ByHooks:
    """Run tests by public hooks alone."""

    def __init__(self):
        self.phases = {}

    def pytest_runtest_protocol(self, item, nextitem):
        reports = internals.run_test_by_hooks(item, nextitem)
        self.phases[item.name] = [(report.when, report.outcome) for report in reports]
        return True


class ByPytest(ByHooks):
    def pytest_runtest_protocol(self, item, nextitem):
        reports = internals.run_test(item, nextitem)
        self.phases[item.name] = [(report.when, report.outcome) for report in reports]
        return True


def test_a_test_runs_in_the_same_phases_by_public_hooks(pytester):
    file = pytester.makepyfile(SUITE)
    by_hooks, by_pytest = ByHooks(), ByPytest()
    for plugin in (by_hooks, by_pytest):
        pytester.inline_run(file, plugins=[plugin])
    assert by_hooks.phases == by_pytest.phases
    assert by_hooks.phases["test_passes"] == [("setup", "passed"), ("call", "passed"), ("teardown", "passed")]
    assert by_hooks.phases["test_has_no_set_up"] == [("setup", "failed"), ("teardown", "passed")]


class Hooks:
    def __init__(self):
        self.calls = []

    def pytest_runtest_teardown(self, item, nextitem):
        self.calls.append(nextitem)


def test_without_a_state_of_set_ups_the_teardown_hooks_are_called():
    item = SimpleNamespace(session=SimpleNamespace(), ihook=Hooks())
    internals.tear_down(item, None)
    assert item.ihook.calls == [None]


def test_failures_of_shared_fixtures_alone_are_ignored(pytester):
    file = pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session")
        def wide():
            yield
            pytest.fail("wide")

        @pytest.fixture(scope="module")
        def module():
            yield
            raise ValueError("module")

        @pytest.fixture
        def own():
            yield
            raise ValueError("own")

        def test_shared(wide, module):
            pass

        def test_own(wide, module, own):
            pass
        """
    )

    class Plugin:
        def __init__(self):
            self.reports = {}

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(self, item):
            with internals.shared_teardown_ignored(item):
                self.reports[item.name] = internals.run_test(item, None)[-1]
            return True

    plugin = Plugin()
    pytester.inline_run(file, plugins=[plugin])
    assert plugin.reports["test_shared"].passed
    assert "ValueError: own" in plugin.reports["test_own"].longreprtext
    assert "wide" not in plugin.reports["test_own"].longreprtext


class Fixture:
    def __init__(self):
        self.finished = []

    def finish(self, request):
        self.finished.append(request)
        pytest.fail("after many calls")


def test_a_fixture_that_fails_between_two_parameters_is_finished_all_the_same():
    fixture = Fixture()
    for _ in range(2):
        internals.ignore_failing_finish(fixture)
    fixture.finish(request=1)
    assert fixture.finished == [1]
    internals.ignore_failing_finish(SimpleNamespace())


def test_without_a_state_of_set_ups_shared_failures_stay():
    with internals.shared_teardown_ignored(SimpleNamespace(session=SimpleNamespace())):
        pass


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(), pytest.exit.Exception("end")])
def test_what_ends_the_process_is_no_failure_of_a_test(ending):
    with pytest.raises(type(ending)), internals.failures_ignored():
        raise ending


def test_without_a_lookup_of_hooks_pytests_own_stay():
    session = SimpleNamespace()
    with internals.hooks_replaced(session, lambda hooks: "replaced"):
        assert not hasattr(session, "gethookproxy")


def test_replaced_hooks_are_restored():
    session = SimpleNamespace(gethookproxy=lambda path: f"hooks of {path}")
    with internals.hooks_replaced(session, lambda hooks: f"other than {hooks}"):
        assert session.gethookproxy("a") == "other than hooks of a"
    assert session.gethookproxy("a") == "hooks of a"


class Manager:
    """A plugin manager whose hook callers have no private method."""

    def __init__(self, plugin):
        self.hook = SimpleNamespace(pytest_x=SimpleNamespace(get_hookimpls=lambda: [SimpleNamespace(plugin=plugin)]))

    def subset_hook_caller(self, name, remove_plugins):
        return name, remove_plugins


def test_a_hook_is_removed_by_a_caller_without_the_plugin():
    manager = Manager("mine")
    internals.remove_hook(manager, "another", "pytest_x")
    assert hasattr(manager.hook.pytest_x, "get_hookimpls")
    internals.remove_hook(manager, "mine", "pytest_x")
    assert manager.hook.pytest_x == ("pytest_x", ["mine"])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (internals.is_loaded_by_conftest, False),
        (internals.declared_flags, set()),
        (internals.unknown_ini_keys, []),
        (internals.fixture_value, None),
        (internals.fixture_finalizers, []),
        (internals.plugins_left_out, ()),
        (internals.is_fixture_definition, False),
    ],
)
def test_what_pytest_no_longer_has_is_absent(function, expected):
    assert function(SimpleNamespace()) == expected


def test_an_ini_key_is_read_in_its_declared_type():
    config = SimpleNamespace(getini={"perf_strict": "true"}.__getitem__)
    assert internals.ini_value(config, "perf_strict") == "true"


def test_the_width_of_the_terminal_is_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("COLUMNS", "77")
    assert internals.terminal_width(SimpleNamespace()) == 77


def test_a_line_is_ended_by_the_reporter(monkeypatch):
    calls = []
    internals.end_line(SimpleNamespace(ensure_newline=lambda: calls.append("newline")))
    assert calls == ["newline"]


def test_a_list_that_an_item_lacks_is_left_alone():
    item = SimpleNamespace(user_properties=[1])
    with internals.item_lists_restored(item):
        item.user_properties.append(2)
    assert item == SimpleNamespace(user_properties=[1])


def test_an_item_drops_the_instance_that_its_function_is_bound_to():
    bound = SimpleNamespace(_instance="text", _obj="text".upper)
    internals.drop_instance(bound)
    assert bound == SimpleNamespace()
    for kept in (
        SimpleNamespace(_instance="text", _obj=len),
        SimpleNamespace(_instance=None, _obj=len),
        SimpleNamespace(),
    ):
        before = dict(vars(kept))
        internals.drop_instance(kept)
        assert vars(kept) == before


def test_the_classes_that_hold_fixtures_are_known_without_private_modules(monkeypatch):
    known = internals.fixture_machinery()
    for module in ("_pytest.fixtures", "_pytest.runner"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    public = internals.fixture_machinery()
    assert public == known[: len(public)]
    assert pytest.FixtureRequest in public
