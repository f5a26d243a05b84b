"""The worker of a production kernel: runs the setup once, then one step at a time.

Steps are cells of one notebook, so each may use what the cells above it define. To have that
always the same, in a kernel that has run much as in a fresh one, the namespace is kept in
layers: layer 0 is what the setup leaves, layer i+1 is layer i with what the body of step i
defines. Step i starts from exactly layer i. So equal names in several steps don't clash, and
globals that a run sets are gone before the next. (Objects are not copied: a list of the setup
that a handler appends to stays appended to while the kernel lives.)
"""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    kept_names,
    left_running,
    set_globals,
    sets_random_states,
)
from jupyter_pdflow.kernels.messages import (
    PRINT_LIMIT,
    Failure,
    Preparation,
)
from jupyter_pdflow.pd import call
from jupyter_pdflow.pd.attrs import write_warning
from jupyter_pdflow.pd.call import error_of, trim
from jupyter_pdflow.pd.inputs import GivenInputs, Inputs
from jupyter_pdflow.pd.loops import canceling_tasks
from jupyter_pdflow.pd.pd import Pd
from jupyter_pdflow.rules.run import Execution, Outcome
from jupyter_pdflow.rules.workflow import PACKAGE_FILE, ModuleSource, StepSource
from jupyter_pdflow.settings import WORKER_VARIABLE


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


class Printing:
    """What has been printed."""

    def __init__(self, bounds: list[_Bound]) -> None:
        self._bounds = bounds

    @property
    def used(self) -> bool:
        """Whether anything was printed."""
        return any(bound.used for bound in self._bounds)

    @property
    def dropped(self) -> int:
        """How many characters have been dropped."""
        return sum(bound.dropped for bound in self._bounds)


@contextmanager
def bounded_printing(limit: int = PRINT_LIMIT) -> Iterator[Printing]:
    """Let that number of characters through to each of stdout and stderr, and drop the others.

    The streams stay the objects that they are, as loggers and others keep hold of them.
    """
    bounds = [_Bound(stream, limit) for stream in (sys.stdout, sys.stderr)]
    try:
        yield Printing(bounds)
    finally:
        for bound in bounds:
            bound.lift()


class _Bound:
    """A limit on what one stream lets through."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._write = stream.write
        self._left = limit
        self.used = False
        self.dropped = 0
        stream.write = self.write

    def write(self, text: Any) -> Any:
        self.used = True
        size = len(text) if isinstance(text, str) else 0
        if size <= self._left:
            self._left -= size
            return self._write(text)
        if self._left:
            self._write(text[: self._left])
        self.dropped += size - self._left
        self._left = 0
        return size

    def lift(self) -> None:
        del self._stream.write


class Worker:
    """The state of a production kernel.

    Attributes
    ----------
    stale : bool
        Whether something is not any more as the setup left it.
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

    async def prepare(self, preparation: Preparation) -> Failure | None:
        """Run the setup, and keep the steps for later; a `Failure` says which cell raised."""
        os.environ[WORKER_VARIABLE] = "1"
        if preparation.cwd is not None:
            with contextlib.suppress(OSError):  # elsewhere there may be no such directory
                os.chdir(preparation.cwd)
        # IPython's own end the kernel after the cell, without an error.
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
                return Failure(cell=number, error=error)
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
        """Execute a step: its body, then its handler, whose `inputs` the server may give."""
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
        self._look(leftovers, names)
        if pd.exception is not None:
            show_exception(self.shell, pd.exception)
        return outcome

    def _look(self, leftovers: Leftovers, names: dict[str, Any]) -> None:
        """Find out whether the kernel is as the setup left it, and tell the step what is not."""
        found = left_running(leftovers)
        if self.baseline is not None:
            found += self.baseline.changes()
        self.stale = self.stale or bool(found)
        for text in found + (set_globals(names, self.shell.user_ns) if names else []):
            write_warning(text)

    def restore(self) -> None:
        """Put back what belongs to the process; called when the server has its answer."""
        if self.baseline is not None:
            self.baseline.restore()
            self.modules.forget_all_but(self.loaded)

    async def _define_steps_before(self, index: int) -> None:
        """Run bodies of earlier steps that this kernel has not run, without their outputs."""
        from IPython.utils.capture import capture_output

        while len(self.layers) <= index:
            with capture_output():
                await self._define(len(self.layers) - 1)
                self.shell.events.trigger("post_execute")
            self._accept_changes()

    async def _define(self, index: int) -> Any:
        """Run the body of a step on its layer; this gives its handler, and the next layer."""
        namespace, layer = self.shell.user_ns, self.layers[index]
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
        """Take what an earlier step's body has changed as given, for this step only."""
        if self.baseline is not None and self.baseline.changes():
            self.stale = True
            self._take_baseline(self.layers[-1])

    def _add_layer(self, step: str) -> None:
        below, layer = self.layers[-1], dict(self.shell.user_ns)
        self.layers.append(layer)
        self.loaded = self.modules.loaded()
        if self.baseline is not None:
            new = {name: value for name, value in layer.items() if below.get(name) is not value}
            new.pop(HANDLER, None)  # each step makes its own anew
            self.baseline.add(new, f"the cell of step {step!r}")


def show_exception(shell: Any, exception: BaseException) -> None:
    """Publish an ``error`` output as IPython does, with the frames that the exception has."""
    lines = traceback_lines(shell, exception)
    publish_traceback(shell, type(exception), error_of(exception).evalue, lines)
