"""The worker of a production kernel, and the local modules that its code imports.

The worker runs the setup once, then one step at a time. Steps are cells of one notebook, so each
may use what the cells above it define. To make that the same in a kernel that has executed many
steps and in a fresh one, the namespace is kept in layers: layer 0 is what the setup leaves, and
layer i+1 is layer i with what the body of step i defines. Step i starts from exactly layer i. So
equal names in several steps don't clash, and globals that a run sets are gone before the next.
(Objects are not copied: when a handler appends to a list of the setup, the list keeps the item
while the kernel lives.)

Local modules are imported from the sources of the version, not from disk, where they may have
changed.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from jupyter_pdflow.ipykernel_compat import publish_traceback
from jupyter_pdflow.kernels.inside.cell import (
    HANDLER,
    compile_step,
    interrupts,
    run_source,
    run_step,
    traceback_lines,
)
from jupyter_pdflow.kernels.inside.processes import Leftovers
from jupyter_pdflow.kernels.inside.state import (
    Baseline,
    global_warnings,
    kept_names,
    leftover_warnings,
    sets_random_states,
)
from jupyter_pdflow.kernels.messages import Preparation, SetupFailure
from jupyter_pdflow.pd import call
from jupyter_pdflow.pd.attrs import write_warning
from jupyter_pdflow.pd.call import error_of, trim
from jupyter_pdflow.pd.inputs import GivenInputs, Inputs
from jupyter_pdflow.pd.loops import canceling_tasks
from jupyter_pdflow.pd.pd import Pd
from jupyter_pdflow.rules.run import Execution, Outcome
from jupyter_pdflow.rules.workflow import PACKAGE_FILE, ModuleSource, StepSource
from jupyter_pdflow.settings import WORKER_VARIABLE


class Worker:
    """The state of a production kernel.

    Parameters
    ----------
    shell : InteractiveShell
        The kernel's shell.

    Attributes
    ----------
    stale : bool
        Whether the kernel is no longer as the setup left it.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.steps: tuple[StepSource, ...] = ()
        self.codes: dict[int, CodeType] = {}
        self.layers: list[dict[str, Any]] = []
        self.modules = LocalModules((), Path())
        self.loaded: dict[str, ModuleType] = {}
        self.baseline: Baseline | None = None
        self.built_in: set[str] = set()
        self.renew = True
        self.stale = False

    async def prepare(self, preparation: Preparation) -> SetupFailure | None:
        """Run the setup, and keep the steps for later; return which cell raised, or None."""
        os.environ[WORKER_VARIABLE] = "1"
        if preparation.cwd is not None:
            with contextlib.suppress(OSError):  # another machine may not have it
                os.chdir(preparation.cwd)
        # IPython's own `exit` and `quit` end the kernel after the cell, without an error.
        self.shell.user_ns.update(exit=sys.exit, quit=sys.exit)
        self.steps = preparation.steps
        self.modules = LocalModules(preparation.modules, Path.cwd())
        self.modules.install()
        self.built_in = set(self.shell.user_ns)
        for number, source in enumerate(preparation.setup, start=1):
            try:
                with interrupts():
                    await run_source(self.shell, source, f"<setup {number}>")
            except BaseException as exception:  # noqa: BLE001  the author's code may raise anything
                error = error_of(trim(call.as_interrupt(exception)))
                return SetupFailure(cell=number, error=error)
        self.layers = [dict(self.shell.user_ns)]
        texts = [*preparation.setup, *(module.source for module in preparation.modules)]
        self.renew = not sets_random_states(texts)
        self._take_baseline(self.layers[0])
        return None

    def _take_baseline(self, layer: dict[str, Any]) -> None:
        self.loaded = self.modules.loaded()
        self.baseline = Baseline(
            {name: value for name, value in layer.items() if name not in self.built_in},
            is_local=self._is_local,
            keep=kept_names(self.shell),
            renew=self.renew,
        )

    def _is_local(self, module: str) -> bool:
        return module == "__main__" or module in self.modules

    async def execute(self, execution: Execution, inputs: GivenInputs | None = None) -> Outcome:
        """Execute a step: its body, then its handler.

        Parameters
        ----------
        execution : Execution
            What to execute.
        inputs : GivenInputs, optional
            The values of ``pd.inputs``; by default the kernel reads them from the server's file.
        """
        index = [step.name for step in self.steps].index(execution.step)
        pd, leftovers = Pd(execution, inputs=Inputs(inputs)), Leftovers()
        names: dict[str, Any] = {}
        try:
            with interrupts(), canceling_tasks():
                await self._define_steps_before(index)
                handler = await self._define(index)
                names = dict(self.shell.user_ns)
                outcome = await call.call_handler(handler, pd)
        except BaseException as exception:  # noqa: BLE001  the author's code may raise anything
            outcome = call.failed(pd, exception)
        self._check_state(leftovers, names)
        if pd.exception is not None:
            show_exception(self.shell, pd.exception)
        return outcome

    def _check_state(self, leftovers: Leftovers, names: dict[str, Any]) -> None:
        """Compare the kernel with what the setup left, and warn the step of each change."""
        found = leftover_warnings(leftovers)
        if self.baseline is not None:
            found += self.baseline.changes()
        self.stale = self.stale or bool(found)
        for text in found + (global_warnings(names, self.shell.user_ns) if names else []):
            write_warning(text)

    def restore(self) -> None:
        """Restore the state of the process; called when the server has its reply."""
        if self.baseline is not None:
            self.baseline.restore()
            self.modules.forget_all_but(self.loaded)

    async def _define_steps_before(self, index: int) -> None:
        """Run the bodies of earlier steps that this kernel has not run, without their outputs."""
        from IPython.utils.capture import capture_output

        while len(self.layers) <= index:
            with capture_output():
                await self._define(len(self.layers) - 1)
                # Within the capture: figures of an earlier step's body must not be shown by this
                # one.
                self.shell.events.trigger("post_execute")
            self._accept_changes()

    async def _define(self, index: int) -> Any:
        """Run the body of a step on its layer, add the next layer, and return the handler."""
        namespace, layer = self.shell.user_ns, self.layers[index]
        # The dict itself has to stay: functions of the setup have it as their globals.
        for name in [name for name in namespace if name not in layer]:
            del namespace[name]
        namespace.update(layer)
        step = self.steps[index]
        if index not in self.codes:
            self.codes[index] = compile_step(self.shell, step.source, step.name)
        handler = await run_step(self.shell, self.codes[index], step.name)
        if len(self.layers) == index + 1:
            self._add_layer(step.name)
        return handler

    def _accept_changes(self) -> None:
        """Accept what an earlier step's body has changed, for this step only."""
        if self.baseline is not None and self.baseline.changes():
            self.stale = True
            self._take_baseline(self.layers[-1])

    def _add_layer(self, step: str) -> None:
        below, layer = self.layers[-1], dict(self.shell.user_ns)
        self.layers.append(layer)
        self.loaded = self.modules.loaded()
        if self.baseline is not None:
            new = {name: value for name, value in layer.items() if below.get(name) is not value}
            new.pop(HANDLER, None)  # each step defines its own
            self.baseline.add(new, f"the cell of step {step!r}")


def show_exception(shell: Any, exception: BaseException) -> None:
    """Publish an ``error`` output as IPython does, with the frames that the exception has."""
    lines = traceback_lines(shell, exception)
    publish_traceback(shell, type(exception), error_of(exception).evalue, lines)


# --- the local modules of a version ---------------------------------------------------


class LocalModules(MetaPathFinder, InspectLoader):
    """Imports the local modules of a version, before any that are on disk.

    Parameters
    ----------
    modules : sequence of ModuleSource
        The modules.
    folder : Path
        The notebook's folder, below which a module's ``__file__`` is.
    """

    def __init__(self, modules: Sequence[ModuleSource], folder: Path) -> None:
        self._modules = {module.name: module for module in modules}
        self._folder = folder

    def install(self) -> None:
        """Import these modules from now on, in place of those of an earlier version."""
        sys.meta_path[:] = [
            self,
            *(each for each in sys.meta_path if not isinstance(each, LocalModules)),
        ]

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def loaded(self) -> dict[str, ModuleType]:
        """Return the modules that have been imported."""
        return {name: sys.modules[name] for name in self._modules if name in sys.modules}

    def forget_all_but(self, kept: dict[str, ModuleType]) -> None:
        """Forget the modules that a step has imported, so that the next step loads them again."""
        for name in self.loaded().keys() - kept.keys():
            del sys.modules[name]

    # --- Python's import system -------------------------------------------------------

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the version, or None."""
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
        """Return the source of a module."""
        return self._modules[name].source

    def get_code(self, name: str) -> CodeType:
        """Compile a module; tracebacks show the lines of the version, not of the file."""
        module = self._modules[name]
        file = str(self._folder / module.path)
        lines = module.source.splitlines(keepends=True)
        # Without a modification time, `linecache.checkcache` does not compare the entry with the
        # file.
        linecache.cache[file] = (len(module.source), None, lines, file)
        return self.source_to_code(module.source, file)
