"""`LazyModuleLoader`: modules that are imported when they are first used."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_log = logging.getLogger("perfguard.startup")


@dataclass(frozen=True)
class Load:
    """One attempt to load a module."""

    name: str
    seconds: float
    """With all that the module imports in its turn."""
    error: str = ""
    """"" if it succeeded."""
    preloaded: bool = False
    """In the background?"""


class LazyModuleLoader:
    """Imports modules by name on first use. Safe to use from several threads and tasks.

    However many ask for a module at the same time, it is imported once. A failed import is not remembered: the next one who asks
    tries again. Each attempt is recorded.

    Parameters
    ----------
    critical
        modules that `preload` imports in the background.
    clock
        seconds, for tests.
    """

    def __init__(self, critical: Iterable[str] = (), *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.critical = tuple(critical)
        self._clock = clock
        self._lock = threading.Lock()
        self._modules: dict[str, ModuleType] = {}
        self._under_way: set[str] = set()
        self._loads: list[Load] = []
        self._preloading: threading.Thread | None = None

    def load(self, name: str) -> ModuleType:
        """The module, imported now if need be.

        Raises
        ------
        ImportError, and whatever the module raises while it is imported
        """
        module = self._modules.get(name)
        return module if module is not None else self._loaded(name)

    async def load_async(self, name: str) -> ModuleType:
        """The same for a task: the import runs in a thread, so that the event loop goes on."""
        module = self._modules.get(name)
        if module is not None:
            return module
        import asyncio

        return await asyncio.to_thread(self._loaded, name)

    def module(self, name: str) -> Any:
        """A stand-in that imports the module at the first use of one of its names.

        `np = loader.module("numpy")`. It is a module for `isinstance`, knows its names for `dir`, and what is taken from it is the
        module's own, so that it can be pickled. For type checkers import the module under `if TYPE_CHECKING`. A package that does not
        exist is an error here, not at its first use.

        Raises
        ------
        ModuleNotFoundError
        """
        top = name.partition(".")[0]  # to look for a submodule would import its package
        if top not in sys.modules and importlib.util.find_spec(top) is None:
            raise ModuleNotFoundError(f"no module named {top!r}", name=top)
        return LazyModule(name, self)

    def preload(self) -> threading.Thread:
        """Import the critical modules in a daemon thread; one that fails is only logged. Nothing happens the second time."""
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
        """Has this loader imported it?"""
        return name in self._modules

    def statistics(self) -> dict[str, float]:
        """As numbers by name: `monitor.watch("modules", loader.statistics)`."""
        loads = self.loads
        failed = [load for load in loads if load.error]
        return {
            "loaded": len(loads) - len(failed),
            "failed": len(failed),
            "preloaded": sum(load.preloaded and not load.error for load in loads),
            "seconds": sum(load.seconds for load in loads),
            "slowest": max((load.seconds for load in loads), default=0.0),
        }

    def __repr__(self) -> str:
        return f"<LazyModuleLoader {len(self._modules)} loaded>"

    def _loaded(self, name: str, *, preloaded: bool = False) -> ModuleType:
        with self._lock:
            if name in self._modules:  # meanwhile
                return self._modules[name]
            first = name not in self._under_way
            self._under_way.add(name)
        if not first:
            # As an import statement does it: Python's own locks, one per module, know who waits for whom, also where modules
            # import one another. `import_module` would raise there.
            __import__(name)
            return sys.modules[name]
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
                self._under_way.discard(name)

    def _preload(self) -> None:
        for name in self.critical:
            try:
                if name not in self._modules:
                    self._loaded(name, preloaded=True)
            except BaseException as error:  # a module that wants to exit must not keep the others from being loaded
                _log.warning("%s could not be preloaded: %r", name, error)


class LazyModule(ModuleType):
    """Stands in for a module until one of its names is used. Made by `LazyModuleLoader.module`."""

    def __init__(self, name: str, loader: LazyModuleLoader) -> None:
        super().__init__(name)
        object.__setattr__(self, "_perfguard_load", lambda: loader.load(name))
        object.__setattr__(self, "_perfguard_name", name)

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "_perfguard_load"):
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "_perfguard_load")(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._perfguard_load(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._perfguard_load(), name)

    def __dir__(self) -> Iterator[str]:
        return iter(dir(self._perfguard_load()))

    def __repr__(self) -> str:
        # `vars` would import it, and a log line must not.
        return f"<stand-in for module {ModuleType.__getattribute__(self, '_perfguard_name')!r}>"
