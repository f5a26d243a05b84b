"""Importing the local modules of a workflow's version as they were when it was deployed."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

from jupyter_pdflow.rules.workflow import PACKAGE_FILE, ModuleSource


class LocalModules(MetaPathFinder, InspectLoader):
    """Finds and loads the local modules of a version, before any that are on disk.

    Parameters
    ----------
    modules : sequence of ModuleSource
        The modules.
    folder : Path
        The notebook's folder; a module's ``__file__`` is where it was below it.
    """

    def __init__(self, modules: Sequence[ModuleSource], folder: Path) -> None:
        self._modules = {module.name: module for module in modules}
        self._folder = folder

    def install(self) -> None:
        """Find these modules from now on, in place of those of an earlier version."""
        sys.meta_path[:] = [
            self,
            *(each for each in sys.meta_path if not isinstance(each, LocalModules)),
        ]

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def loaded(self) -> dict[str, ModuleType]:
        """Get those that have been imported."""
        return {name: sys.modules[name] for name in self._modules if name in sys.modules}

    def forget_all_but(self, kept: dict[str, ModuleType]) -> None:
        """Have those imported anew that a step was the first to import."""
        for name in self.loaded().keys() - kept.keys():
            del sys.modules[name]

    # --- Python's import system -------------------------------------------------------

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of the version."""
        module = self._modules.get(name)
        if module is None:
            return None
        file = self._folder / module.path
        spec = ModuleSpec(name, self, origin=str(file), is_package=self.is_package(name))
        spec.has_location = module.path.endswith(".py")
        if spec.submodule_search_locations is not None:
            folder = file.parent if file.name == PACKAGE_FILE else file
            spec.submodule_search_locations.append(str(folder))
        return spec

    def is_package(self, name: str) -> bool:
        """Whether a module is a package."""
        path = self._modules[name].path
        return path.endswith(f"/{PACKAGE_FILE}") or not path.endswith(".py")

    def get_source(self, name: str) -> str:
        """Get the code of a module."""
        return self._modules[name].source

    def get_code(self, name: str) -> CodeType:
        """Compile a module, and keep its lines for tracebacks: the file may have others now."""
        module = self._modules[name]
        file = str(self._folder / module.path)
        lines = module.source.splitlines(keepends=True)
        linecache.cache[file] = (len(module.source), None, lines, file)
        return self.source_to_code(module.source, file)
