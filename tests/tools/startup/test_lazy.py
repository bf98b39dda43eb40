"""`LazyModuleLoader`: once, whoever asks."""

from __future__ import annotations

import asyncio
import importlib
import logging
import pickle
import sys
import threading
import types

import pytest

from pytest_perfguard import LazyModuleLoader
from pytest_perfguard.tools.startup import lazy


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder on the import path; modules made there are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)

    def make(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()

    yield make
    for name in set(sys.modules) - known:
        del sys.modules[name]


def ticking(*times):
    rest = iter(times)
    return lambda: next(rest)


def test_a_module_is_imported_when_it_is_asked_for(package):
    package("lazy_one", "VALUE = 7\n")
    loader = LazyModuleLoader(clock=ticking(1.0, 3.5))
    assert not loader.is_loaded("lazy_one")
    assert "lazy_one" not in sys.modules
    assert loader.load("lazy_one").VALUE == 7
    assert loader.load("lazy_one") is sys.modules["lazy_one"]
    (load,) = loader.loads
    assert (load.name, load.seconds, load.error) == ("lazy_one", 2.5, "")
    assert loader.statistics() == {"loaded": 1, "failed": 0, "preloaded": 0, "seconds": 2.5, "slowest": 2.5}


def test_a_failure_is_raised_recorded_and_tried_again(package):
    loader = LazyModuleLoader()
    package("lazy_bad", "raise ValueError('not today')\n")
    for _ in range(2):
        with pytest.raises(ValueError, match="not today"):
            loader.load("lazy_bad")
    with pytest.raises(ModuleNotFoundError):
        loader.load("lazy_missing")
    assert [load.error for load in loader.loads[:2]] == ["ValueError: not today"] * 2
    package("lazy_missing", "")
    assert loader.load("lazy_missing").__name__ == "lazy_missing"
    assert loader.statistics()["failed"] == 3


def test_many_threads_import_once(package):
    package("lazy_slow", "import builtins\nbuiltins.lazy_count = getattr(builtins, 'lazy_count', 0) + 1\n")
    loader, found, together = LazyModuleLoader(), [], threading.Barrier(20)

    def ask():
        together.wait(20)
        found.append(loader.load("lazy_slow"))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    import builtins

    assert builtins.lazy_count == 1
    del builtins.lazy_count
    assert len(set(map(id, found))) == 1
    assert len(loader.loads) == 1


def test_many_tasks_import_once(package):
    package("lazy_task", "")
    loader = LazyModuleLoader()

    async def main():
        return await asyncio.gather(*(loader.load_async("lazy_task") for _ in range(20)))

    assert set(map(id, asyncio.run(main()))) == {id(sys.modules["lazy_task"])}
    assert len(loader.loads) == 1


def test_modules_that_import_one_another_do_not_wait_for_ever(package):
    loader = LazyModuleLoader()
    import builtins

    builtins.lazy_loader = loader
    package("lazy_circle", "import builtins\nagain = builtins.lazy_loader.load('lazy_circle')\n")
    assert loader.load("lazy_circle").again is sys.modules["lazy_circle"]
    del builtins.lazy_loader


def test_critical_modules_are_preloaded_in_the_background(package, caplog):
    package("lazy_critical", "")
    package("lazy_broken", "1 / 0\n")
    loader = LazyModuleLoader(["lazy_broken", "lazy_critical", "lazy_nowhere"])
    with caplog.at_level(logging.WARNING):
        thread = loader.preload()
        assert loader.preload() is thread
        thread.join()
    assert thread.daemon
    assert loader.is_loaded("lazy_critical")
    assert loader.statistics()["preloaded"] == 1
    assert "lazy_broken could not be preloaded: ZeroDivisionError('division by zero')" in caplog.text
    assert "lazy_nowhere could not be preloaded" in caplog.text


def test_the_end_of_the_program_completes_the_module_in_progress_and_begins_no_other(package, monkeypatch):
    monkeypatch.setattr(lazy, "_exiting", threading.Event())
    import builtins

    builtins.lazy_exiting = lazy._exiting
    package("lazy_first", "import builtins\nbuiltins.lazy_exiting.wait(20)\n")
    package("lazy_second", "")
    loader = LazyModuleLoader(["lazy_first", "lazy_second"])
    thread = loader.preload()
    lazy._before_exit()
    assert not thread.is_alive()
    assert not loader.is_loaded("lazy_second")
    del builtins.lazy_exiting


def test_who_waits_for_an_import_that_fails_tries_again(package, monkeypatch):
    package("lazy_flaky", "")
    loader = LazyModuleLoader()
    loader._in_progress["lazy_flaky"] = 0  # another thread imports it

    def fail_in_the_other_thread(name, *_args):
        loader._in_progress.pop("lazy_flaky", None)  # and fails: the module is gone

    with monkeypatch.context() as patched:
        patched.setattr("builtins.__import__", fail_in_the_other_thread)
        assert loader.load("lazy_flaky").__name__ == "lazy_flaky"


def test_a_stand_in_is_the_module_once_it_is_used(package):
    package("lazy_proxy", "class Thing: pass\nVALUE = 1\n")
    loader = LazyModuleLoader()
    proxy = loader.module("lazy_proxy")
    assert isinstance(proxy, types.ModuleType)
    assert "lazy_proxy" not in sys.modules
    assert proxy.VALUE == 1
    assert {"Thing", "VALUE"} <= set(dir(proxy))
    assert pickle.loads(pickle.dumps(proxy.Thing)) is sys.modules["lazy_proxy"].Thing
    assert isinstance(pickle.loads(pickle.dumps(proxy.Thing())), proxy.Thing)
    proxy.VALUE = 2
    assert sys.modules["lazy_proxy"].VALUE == 2
    del proxy.VALUE
    with pytest.raises(AttributeError, match="lazy_proxy"):
        proxy.VALUE  # noqa: B018
    assert vars(proxy) is not None
    assert len(loader.loads) == 1


def test_a_package_that_does_not_exist_is_told_at_once():
    with pytest.raises(ModuleNotFoundError, match="lazy_nowhere"):
        LazyModuleLoader().module("lazy_nowhere.part")


def test_modules_that_load_one_another_from_two_threads_do_not_wait_for_ever(package):
    import builtins

    loader = builtins.lazy_loader = LazyModuleLoader()
    builtins.lazy_both = threading.Barrier(2)
    for mine, other in (("lazy_left", "lazy_right"), ("lazy_right", "lazy_left")):
        package(
            mine,
            "import builtins, threading\n"
            "try:\n    builtins.lazy_both.wait(2)\nexcept threading.BrokenBarrierError:\n    pass\n"
            f"builtins.lazy_loader.load({other!r})\n",
        )
    threads = [threading.Thread(target=loader.load, args=(name,), daemon=True) for name in ("lazy_left", "lazy_right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    del builtins.lazy_loader, builtins.lazy_both
    assert loader.is_loaded("lazy_left")


def test_to_look_at_a_stand_in_imports_nothing(package):
    package("lazy_seen", "")
    assert repr(LazyModuleLoader().module("lazy_seen")) == "<stand-in for module 'lazy_seen'>"
    assert "lazy_seen" not in sys.modules


def test_a_text_in_place_of_a_list_of_names_is_refused():
    for make in (
        lambda: LazyModuleLoader(critical="json"),
        lambda: LazyModuleLoader().attach("package", "io"),
        lambda: LazyModuleLoader().attach("package", [], {"core": "run"}),
    ):
        with pytest.raises(TypeError, match="give a list of names"):
            make()


def test_the_name_of_a_stand_in_does_not_import_its_module(package):
    """Pytest makes the id of a parameter of it."""
    package("lazy_named", "number = 1")
    stand_in = LazyModuleLoader().module("lazy_named")
    assert stand_in.__name__ == "lazy_named"
    assert "lazy_named" not in sys.modules
    assert stand_in.number == 1
    assert stand_in.__name__ == "lazy_named"
