"""Private API of pytest and pluggy that perfguard uses, all in one place, each with a fallback for versions that lack it.

Loaded in every run, hence without imports of its own at module level besides pytest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import pytest

#: Lists of an item that grow while its test runs and that its set-up does not clear.
_LISTS_OF_ITEM = ("user_properties", "_report_sections", "own_markers")
#: What makes a test fail or skip.
_OUTCOMES = (Exception, pytest.fail.Exception, pytest.skip.Exception)
#: The instance of a test class that an item keeps beyond its teardown, and its function, which is bound to it.
_INSTANCE_OF_ITEM = ("_instance", "_obj")


def is_loaded_by_conftest(manager: pytest.PytestPluginManager) -> bool:
    """Return whether initial conftests are loaded already. Fallback: False, so that options are declared once, later."""
    return bool(getattr(manager, "_conftest_plugins", None))


def declared_flags(parser: pytest.Parser) -> set[str]:
    """Return the option strings that plugins and conftests have declared. Fallback: none."""
    groups = [*getattr(parser, "_groups", ()), getattr(parser, "_anonymous", None)]
    return {name for group in groups if group is not None for option in group.options for name in option.names()}


def ini_value(config: pytest.Config, name: str) -> object:
    """Return the value of an ini key in the type that the file gives it. Fallback: `getini`, in the declared type.

    pytest holds a value of a TOML file to the one type that its key was declared with. perfguard's keys accept every form in
    which their value can be written: `perf_strict = true`, `perf_metrics = ["time"]`, `perf_report = "report.html"`.
    """
    found = getattr(config, "_inicfg", {}).get(name)  # pytest 9
    value = getattr(found, "value", None)
    is_typed = getattr(found, "mode", "ini") == "toml" or not isinstance(value, str | None)
    return value if is_typed else config.getini(name)


def unknown_ini_keys(config: pytest.Config) -> list[str]:
    """Return the keys of the ini file that no plugin has declared. Fallback: none."""
    given = getattr(config, "_inicfg", None)  # pytest 9; the public name warns there
    return [
        key for key in (vars(config).get("inicfg", ()) if given is None else given) if not _is_declared(config, key)
    ]


def _is_declared(config: pytest.Config, key: str) -> bool:
    try:
        config.getini(key)
    except (KeyError, ValueError):
        return False
    except Exception:  # a wrong value, or a type that pytest refuses
        return True
    return True


def worker_input(config: pytest.Config) -> dict[str, object]:
    """Return what xdist's controller passed to this worker. Only workers have it."""
    passed: dict[str, object] = config.workerinput  # type: ignore[attr-defined]  # set by xdist
    return passed


def worker_output(config: pytest.Config) -> dict[str, object]:
    """Return what this worker passes to xdist's controller at its end, to be filled. Only workers have it."""
    passed: dict[str, object] = config.workeroutput  # type: ignore[attr-defined]  # set by xdist
    return passed


def is_fixture_definition(value: object) -> bool:
    """Return whether a module's attribute is a fixture.

    Since pytest 8.4, fixtures are objects of a class of their own. Before, they were marked functions.
    """
    return type(value).__name__ == "FixtureFunctionDefinition" or hasattr(value, "_pytestfixturefunction")


def is_parameter(fixture: pytest.FixtureDef[object]) -> bool:
    """Return whether a fixture only stands for an argument of `parametrize`. Fallback: False."""
    return fixture.func.__module__ == "_pytest.python"


def fixtures_of(item: pytest.Item) -> list[pytest.FixtureDef[object]]:
    """Return the fixtures that a test uses, those that others override included. Fallback: none."""
    found = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return [fixture for fixtures in found.values() for fixture in fixtures]


def fixture_value(fixture: pytest.FixtureDef[object]) -> tuple[object] | None:
    """Return the value of a fixture that is set up, in a tuple. None: it is not set up. Fallback: None."""
    result = getattr(fixture, "cached_result", None)
    return None if result is None else (result[0],)


def fixture_finalizers(fixture: pytest.FixtureDef[object]) -> list[object]:
    """Return the functions that the teardown of a fixture will call. Fallback: none."""
    return list(getattr(fixture, "_finalizers", ()))


def fixture_machinery() -> tuple[type, ...]:
    """Return pytest's classes through which every fixture can be reached and that belong to none of them.

    Fallback: the public ones.
    """
    types: list[type] = [pytest.Item, pytest.Collector, pytest.FixtureDef, pytest.FixtureRequest]
    with contextlib.suppress(ImportError):
        from _pytest.fixtures import FixtureManager

        types.append(FixtureManager)
    with contextlib.suppress(ImportError):
        from _pytest.runner import SetupState

        types.append(SetupState)
    return tuple(types)


@contextlib.contextmanager
def item_lists_restored(item: pytest.Item) -> Iterator[None]:
    """Restore, after the block, the lists that a run of the item adds to. Fallback: a list that is missing is left out."""
    before = {name: list(values) for name in _LISTS_OF_ITEM if (values := getattr(item, name, None)) is not None}
    try:
        yield
    finally:
        for name, values in before.items():
            getattr(item, name)[:] = values


def drop_instance(item: pytest.Item) -> None:
    """Let the item make a new instance of its test class when it is set up again. Fallback: it keeps its instance.

    So does an item whose function a plugin has replaced.
    """
    instance, function = (vars(item).get(name) for name in _INSTANCE_OF_ITEM)
    if instance is not None and getattr(function, "__self__", None) is instance:
        for name in _INSTANCE_OF_ITEM:
            delattr(item, name)


def run_test(item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    """Set up, call and tear down a test, and return its reports without logging them. Fallback: by pytest's public hooks."""
    try:
        from _pytest.runner import runtestprotocol
    except ImportError:
        return run_test_by_hooks(item, nextitem)
    return runtestprotocol(item, log=False, nextitem=nextitem)


def run_test_by_hooks(item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    """`run_test` by public hooks alone."""
    begin: Callable[[], None] | None = getattr(item, "_initrequest", None)
    if begin is not None and not getattr(item, "_request", None):
        begin()
    hooks = item.ihook
    reports = [_phase(item, "setup", lambda: hooks.pytest_runtest_setup(item=item))]
    if reports[0].passed:
        reports.append(_phase(item, "call", lambda: hooks.pytest_runtest_call(item=item)))
    reports.append(_phase(item, "teardown", lambda: hooks.pytest_runtest_teardown(item=item, nextitem=nextitem)))
    if begin is not None:
        vars(item).update(_request=False, funcargs=None)
    return reports


def _phase(item: pytest.Item, when: str, run: Callable[[], object]) -> pytest.TestReport:
    call = pytest.CallInfo.from_call(run, when, reraise=(pytest.exit.Exception, KeyboardInterrupt))  # type: ignore[arg-type]
    report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return report


def same_test_next(item: pytest.Item) -> pytest.Item:
    """Return a `nextitem` that has pytest tear down this item alone, for a test that runs again.

    pytest tears down every node that is not among the parents of `nextitem`. The item's own parent keeps all but the item.
    """
    return cast(pytest.Item, item.parent)


def tear_down(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Tear down every fixture of the item that `nextitem` does not need. Fallback: the teardown hooks of all plugins."""
    state = getattr(item.session, "_setupstate", None)
    if state is None:
        item.ihook.pytest_runtest_teardown(item=item, nextitem=nextitem)
    else:
        state.teardown_exact(nextitem)


@contextlib.contextmanager
def shared_teardown_ignored(item: pytest.Item) -> Iterator[None]:
    """Within the block, ignore failures in the teardown of fixtures that the item shares with other tests.

    The item's own failures stay. Fallback: all failures stay.
    """
    state = getattr(item.session, "_setupstate", None)
    if state is None:
        yield
        return
    teardown = state.teardown_exact

    def teardown_own(nextitem: pytest.Item | None) -> None:
        try:
            teardown(same_test_next(item))
        finally:
            with failures_ignored():
                teardown(nextitem)

    state.teardown_exact = teardown_own
    try:
        yield
    finally:
        del state.teardown_exact


def ignore_failing_finish(fixture: pytest.FixtureDef[object]) -> None:
    """Ignore failures in the teardown of a fixture when a test requests it with another parameter. Fallback: they stay."""
    finish: Callable[..., None] | None = getattr(fixture, "finish", None)
    if finish is None or "finish" in vars(fixture):
        return

    def finish_ignoring(*arguments: object, **keywords: object) -> None:
        with failures_ignored():
            finish(*arguments, **keywords)

    fixture.finish = finish_ignoring  # type: ignore[method-assign]


@contextlib.contextmanager
def failures_ignored() -> Iterator[None]:
    """Suppress what makes a test fail or skip, which includes exceptions that are no `Exception`, such as `pytest.fail`."""
    try:
        yield
    except pytest.exit.Exception:
        raise
    except _OUTCOMES:
        pass
    except BaseException as error:
        if not _is_group_of_outcomes(error):
            raise


def _is_group_of_outcomes(error: BaseException) -> bool:
    """Return whether several fixtures failed, none of them by an exception that ends the process."""
    parts = getattr(error, "exceptions", ())
    return bool(parts) and all(isinstance(part, _OUTCOMES) or _is_group_of_outcomes(part) for part in parts)


@contextlib.contextmanager
def hooks_replaced(session: pytest.Session, replace: Callable[[object], object]) -> Iterator[None]:
    """Within the block, replace the hooks that items of this session call: `replace` receives pytest's and returns others.

    Items look their hooks up with `Session.gethookproxy`. Where a version of pytest has no such method, the block runs with
    pytest's own hooks.
    """
    lookup: Callable[..., object] | None = getattr(session, "gethookproxy", None)
    if lookup is None:
        yield
        return
    session.gethookproxy = lambda fspath: replace(lookup(fspath))  # type: ignore[method-assign, assignment, return-value]
    try:
        yield
    finally:
        session.gethookproxy = lookup  # type: ignore[method-assign, assignment]


def plugins_left_out(hooks: object) -> Sequence[object]:
    """Return the plugins that a hook relay leaves out, such as conftests of other folders. Fallback: none."""
    left_out: Iterable[object] = getattr(hooks, "remove_mods", ())
    return tuple(left_out)


def remove_hook(manager: pytest.PytestPluginManager, plugin: object, hook: str) -> None:
    """Remove a plugin's implementation of one hook, if it has one. Fallback: a caller of the hook without the plugin."""
    caller = getattr(manager.hook, hook)
    if not any(implementation.plugin is plugin for implementation in caller.get_hookimpls()):
        return
    remove: Callable[[object], None] | None = getattr(caller, "_remove_plugin", None)
    if remove is None:
        setattr(manager.hook, hook, manager.subset_hook_caller(hook, remove_plugins=[plugin]))
    else:
        remove(plugin)


def terminal_width(reporter: pytest.TerminalReporter) -> int:
    """Return the columns of the terminal. Fallback: the standard library's answer."""
    width = getattr(getattr(reporter, "_tw", None), "fullwidth", None)
    if isinstance(width, int):
        return width
    import shutil

    return shutil.get_terminal_size().columns


def shows_unicode(reporter: pytest.TerminalReporter) -> bool:
    """Return whether the output is a terminal that shows characters beyond ASCII. Fallback: no."""
    encoding = getattr(getattr(getattr(reporter, "_tw", None), "_file", None), "encoding", None)
    known = isinstance(encoding, str) and encoding.lower().replace("-", "") == "utf8"
    return known and bool(getattr(reporter, "isatty", False))


def end_line(reporter: pytest.TerminalReporter) -> None:
    """End the current line of the terminal, if anything was written on it. Fallback: `ensure_newline`."""
    writer = getattr(reporter, "_tw", None)
    if writer is None or not hasattr(writer, "width_of_current_line"):
        reporter.ensure_newline()
    elif writer.width_of_current_line:
        writer.line()
