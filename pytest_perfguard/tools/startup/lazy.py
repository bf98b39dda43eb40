"""`LazyModuleLoader`: import modules when they are first used."""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from pytest_perfguard.core.fork import register_at_fork

_log = logging.getLogger("perfguard.startup")

#: Seconds that a fork waits for imports in other threads.
FORK_TIMEOUT: Final = 5.0
#: Seconds that the end of the program waits for the module that is being preloaded.
EXIT_TIMEOUT: Final = 5.0

#: Names that test runners and other tools look for in every object of a module. They do not import the module behind a stand-in.
PROBED: Final = frozenset(
    {
        "__bases__", "__code__", "__func__", "__globals__", "__isabstractmethod__", "__partialmethod__", "__pytest_wrapped__",
        "__self__", "__signature__", "__test__", "__wrapped__", "_fixture_function", "_fixture_function_marker",
        "_get_wrapped_function", "_is_coroutine_mark", "_is_coroutine_marker", "_mock_methods", "_mock_name", "_mock_new_name",
        "_pytestfixturefunction", "is_hypothesis_test", "pytest_mock_example_attribute_that_shouldnt_exist", "pytestmark",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Load:
    """One attempt to load a module."""

    name: str
    seconds: float
    """Including the modules that it imports itself."""
    error: str = ""
    """"" after a success."""
    preloaded: bool = False
    """Whether it was made in the background."""


class LazyModuleLoader:
    """Import modules by name on first use. Safe to use from several threads and tasks.

    Concurrent requests for a module share one import. A failure is not kept: the next request tries again. Each attempt is recorded.

    Parameters
    ----------
    critical
        modules that `preload` imports in the background, in this order.
    clock
        returns seconds, for tests.
    """

    def __init__(self, critical: Iterable[str] = (), *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.critical = _names("critical", critical)
        self._clock = clock
        self._lock = threading.RLock()  # reentrant: a finalizer may load a module
        self._modules: dict[str, ModuleType] = {}
        self._imported = threading.Condition(self._lock)
        self._in_progress: dict[str, int] = {}
        """The modules that are being imported, with the threads that import them."""
        self._loads: list[Load] = []
        self._preloading: threading.Thread | None = None
        register_at_fork(self)
        _loaders.add(self)

    def load(self, name: str) -> ModuleType:
        """Return the module, imported now if necessary.

        Raises
        ------
        ImportError, and any error that the module raises during its import
        """
        module = self._modules.get(name)
        return module if module is not None else self._loaded(name)

    async def load_async(self, name: str) -> ModuleType:
        """Return the module, imported in a thread, so that the event loop goes on."""
        module = self._modules.get(name)
        if module is not None:
            return module
        import asyncio

        return await asyncio.to_thread(self._loaded, name)

    def module(self, name: str) -> Any:
        """Return a stand-in that imports the module when one of its names is first used.

        Example: `np = loader.module("numpy")`. It is a module for `isinstance` and lists its names for `dir`. Its names are the
        module's own objects, which can be pickled. For type checkers import the module under `if TYPE_CHECKING`. While pytest collects
        tests, a stand-in in a test module stays unimported.

        Raises
        ------
        ModuleNotFoundError
            if the package does not exist.
        """
        top = name.partition(".")[0]  # a search for a submodule would import its package
        if top not in sys.modules and importlib.util.find_spec(top) is None:
            raise ModuleNotFoundError(f"no module named {top!r}", name=top)
        return LazyModule(name, self)

    def attach(
        self, package: str, submodules: Iterable[str] = (), attributes: Mapping[str, Iterable[str]] | None = None
    ) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
        """Return `__getattr__`, `__dir__` and `__all__` for a package that loads its parts on first use.

        In its `__init__.py`: `__getattr__, __dir__, __all__ = loader.attach(__name__, ["io"], {"core": ["run", "stop"]})`.

        Parameters
        ----------
        submodules
            modules of the package that are attributes of it.
        attributes
            names that the package offers, by the submodule that defines them.
        """
        modules = set(_names("submodules", submodules))
        homes = {name: module for module, names in (attributes or {}).items() for name in _names(module, names)}
        public = sorted(modules | homes.keys())

        def get_attribute(name: str) -> Any:
            if name in homes:
                module = homes[name]
                value = getattr(self.load(f"{package}.{module}"), name)
                setattr(sys.modules[package], name, value)
                if homes.get(module) == module:  # the import has made the submodule the attribute in its place
                    setattr(sys.modules[package], module, getattr(self.load(f"{package}.{module}"), module))
                return value
            if name in modules:
                return self.load(f"{package}.{name}")
            raise AttributeError(f"module {package!r} has no attribute {name!r}")

        return get_attribute, lambda: list(public), list(public)

    def preload(self) -> threading.Thread:
        """Import the critical modules in a daemon thread. Failures are only logged. A second call does nothing."""
        with self._lock:
            if self._preloading is None:
                self._preloading = threading.Thread(target=self._preload, name="perfguard-preload", daemon=True)
                self._preloading.start()
            return self._preloading

    @property
    def loads(self) -> tuple[Load, ...]:
        """All attempts so far, the latest last."""
        with self._lock:
            return tuple(self._loads)

    def is_loaded(self, name: str) -> bool:
        """Return whether this loader has imported the module."""
        return name in self._modules

    def statistics(self) -> dict[str, float]:
        """Return numbers by name, for `monitor.watch("modules", loader.statistics)`."""
        loads = self.loads
        failed = [load for load in loads if load.error]
        return {
            "loaded": len(loads) - len(failed),
            "failed": len(failed),
            "preloaded": sum(load.preloaded and not load.error for load in loads),
            "seconds": sum(load.seconds for load in loads),
            "slowest": max((load.seconds for load in loads), default=0.0),
        }

    def begin_anew(self) -> None:
        """Reset in a forked child: threads that were importing are not there."""
        self._lock = threading.RLock()
        self._imported = threading.Condition(self._lock)
        self._in_progress = {}
        if self._preloading is not None and not self._preloading.is_alive():
            self._preloading = None

    def wait_for_imports(self, timeout: float) -> None:
        """Wait for the imports of other threads, but not for ever: they may need the calling thread."""
        own = threading.get_ident()
        with self._lock:
            self._imported.wait_for(lambda: all(thread == own for thread in list(self._in_progress.values())), timeout)

    def wait_for_preload(self, timeout: float) -> None:
        """Wait for the thread that preloads modules, if there is one."""
        thread = self._preloading
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def __repr__(self) -> str:
        return f"<LazyModuleLoader {len(self._modules)} loaded>"

    def _loaded(self, name: str, *, preloaded: bool = False) -> ModuleType:
        with self._lock:
            if name in self._modules:  # loaded by another thread since
                return self._modules[name]
            first = name not in self._in_progress
            self._in_progress.setdefault(name, threading.get_ident())
        if not first:
            # As an import statement does it: Python's own locks, one per module, prevent deadlocks also between modules that import one
            # another. `import_module` would raise an error there.
            __import__(name)
            module = sys.modules.get(name)
            return (
                module if module is not None else self._loaded(name)
            )  # the other thread's import has failed: try again
        begun, error = self._clock(), ""
        try:
            module = self._modules[name] = importlib.import_module(name)
        except BaseException as problem:
            error = f"{type(problem).__name__}: {problem}"
            raise
        else:
            return module
        finally:
            with self._lock:
                self._loads.append(Load(name, self._clock() - begun, error, preloaded))
                self._in_progress.pop(name, None)
                self._imported.notify_all()

    def _preload(self) -> None:
        for name in self.critical:
            if _exiting.is_set():
                return
            try:
                if name not in self._modules:
                    self._loaded(name, preloaded=True)
            except BaseException as error:  # also SystemExit: the other modules must be loaded
                _log.warning("%s could not be preloaded: %r", name, error)


def _names(parameter: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return names; raise TypeError for a text, which is an iterable of its letters."""
    if isinstance(names, str):
        raise TypeError(f"{parameter} is {names!r}: give a list of names")
    return tuple(names)


class LazyModule(ModuleType):
    """Stands in for a module until one of its names is used. Made by `LazyModuleLoader.module`."""

    def __init__(self, name: str, loader: LazyModuleLoader) -> None:
        super().__init__(name)
        object.__setattr__(self, "_perfguard_load", lambda: loader.load(name))
        object.__setattr__(self, "_perfguard_name", name)
        object.__setattr__(self, "_perfguard_is_loaded", lambda: name in sys.modules)

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "_perfguard_load"):
            return object.__getattribute__(self, name)
        if (name == "__name__" or name in PROBED) and not object.__getattribute__(self, "_perfguard_is_loaded")():
            if name == "__name__":  # pytest makes the id of a parameter of it
                return object.__getattribute__(self, "_perfguard_name")
            raise AttributeError(f"the stand-in for a module has no attribute {name!r}")
        return getattr(object.__getattribute__(self, "_perfguard_load")(), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._perfguard_load(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._perfguard_load(), name)

    def __dir__(self) -> Iterator[str]:
        return iter(dir(self._perfguard_load()))

    def __repr__(self) -> str:
        # `vars` would import the module, and a log line must not.
        return f"<stand-in for module {ModuleType.__getattribute__(self, '_perfguard_name')!r}>"


_loaders: Final[weakref.WeakSet[LazyModuleLoader]] = weakref.WeakSet()


def _before_fork() -> None:
    # A child inherits Python's lock of a module that another thread imports, and would wait for it for ever.
    for loader in list(_loaders):
        loader.wait_for_imports(FORK_TIMEOUT)


_exiting: Final = threading.Event()


def _before_exit() -> None:
    # The interpreter ends daemon threads where they are. An import in a finalizer would wait for ever for the lock that such a thread
    # held.
    _exiting.set()
    for loader in list(_loaders):
        loader.wait_for_preload(EXIT_TIMEOUT)


atexit.register(_before_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
