"""The program: its project's settings, its configuration, and a run of it inside Pulumi's runtime."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi.runtime
import yaml
from pulumi.runtime import settings

from .monitor import DeploymentMonitor, EngineService


@dataclass
class Program:
    """A program and what its project file says of it."""

    main: Callable[[], object]
    folder: Path
    """Where the program and the plugin run."""
    project: str
    config: dict[str, str]
    """By full key, as strings, as the engine passes them."""
    options: dict[str, str] = field(default_factory=dict)
    """The runtime's options in Pulumi.yaml."""

    @classmethod
    def load(
        cls,
        program: str | os.PathLike[str] | Callable[[], object],
        project: str | None,
        config: Mapping[str, Any],
    ) -> Program:
        """Load the program in a folder with a Pulumi.yaml, or a function, which runs in the current folder.

        Raises:
            FileNotFoundError: The folder has no Pulumi.yaml.
        """
        if callable(program):
            name = project or "project"
            return cls(program, Path.cwd(), name, to_config(config, name))
        folder = Path(program).resolve()
        described = yaml.safe_load((folder / "Pulumi.yaml").read_text(encoding="utf-8"))
        name = project or described["name"]
        defaults = {key: _default_of(value) for key, value in (described.get("config") or {}).items()}
        runtime = described.get("runtime")
        options = runtime.get("options", {}) if isinstance(runtime, dict) else {}
        known = {key: value for key, value in defaults.items() if value is not None}
        return cls(
            lambda: _run_folder(folder),
            folder,
            name,
            {**to_config(known, name), **to_config(config, name)},
            {f"PULUMI_RUNTIME_{key.upper()}": str(value) for key, value in options.items()},
        )

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Make the program's folder the current one and the first to import from; its modules are forgotten after."""
        folder, modules, argv, path = self.folder, set(sys.modules), sys.argv, list(sys.path)
        before = Path.cwd()
        packages = {name.split(".")[0] for name in modules}
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        sys.argv = [str(folder)]
        try:
            yield
        finally:
            os.chdir(before)
            sys.argv, sys.path[:] = argv, path
            for name in set(sys.modules) - modules:
                file = getattr(sys.modules[name], "__file__", None) or ""
                mine = Path(file).is_relative_to(folder) and "site-packages" not in file
                if mine and name.split(".")[0] not in packages:
                    del sys.modules[name]


def to_config(config: Mapping[str, Any], project: str) -> dict[str, str]:
    """Return configuration as the engine passes it: full keys, and everything that is no string as JSON."""
    return {
        key if ":" in key else f"{project}:{key}": value
        if isinstance(value, str)
        else json.dumps(value, separators=(",", ":"))
        for key, value in config.items()
    }


def _default_of(described: Any) -> Any:
    # A key of the project's own has `default`, one of another namespace `value`; the short form is the value itself.
    if isinstance(described, dict):
        return described.get("value", described.get("default"))
    return described


def _run_folder(folder: Path) -> None:
    main = folder / "__main__.py"
    if not main.exists():
        raise pulumi.RunError(f"unable to find main python program `__main__.py` in `{folder}`")
    runpy.run_path(str(main), run_name="__main__")


@dataclass
class ProgramRun:
    """A run of a program, which another thread can interrupt."""

    program: Program
    monitor: DeploymentMonitor
    engine: EngineService
    _loop: asyncio.AbstractEventLoop | None = None
    _task: asyncio.Task[None] | None = None

    def run(self, *, stack: str, preview: bool, parallel: int, secret_keys: list[str]) -> None:
        """Run the program to its end, and wait for its steps also when it fails.

        Raises what the program raises. Pulumi's runtime settings live in context variables: run it in a context of
        its own, so that they end with it; and within its `environment()`.
        """
        loop = asyncio.new_event_loop()
        # The monitor's calls block; the SDK's launcher gives them four threads for each parallel step.
        executor = ThreadPoolExecutor(max_workers=4 * parallel)
        loop.set_default_executor(executor)
        # As in Pulumi's own launcher: outputs that a failed program leaves unresolved are no news to anyone.
        loop.set_exception_handler(lambda _loop, _context: None)
        asyncio.set_event_loop(loop)
        try:
            self._configure(stack, preview, secret_keys)
            self._task = loop.create_task(pulumi.runtime.run_in_stack(self.program.main))  # type: ignore[arg-type]
            self._loop = loop
            loop.run_until_complete(self._task)
        finally:
            self._loop = None
            executor.shutdown(wait=True)
            leftovers = asyncio.all_tasks(loop)
            for task in leftovers:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*leftovers, return_exceptions=True))
            asyncio.set_event_loop(None)
            loop.close()

    def interrupt(self) -> None:
        """Stop the program where it next waits for something."""
        loop, task = self._loop, self._task
        if loop is not None and task is not None:
            with suppress(RuntimeError):  # it ended just now
                loop.call_soon_threadsafe(task.cancel)

    def _configure(self, stack: str, preview: bool, secret_keys: list[str]) -> None:
        settings.reset_options(project=self.program.project, stack=stack, preview=preview)
        pulumi.runtime.set_all_config(self.program.config, secret_keys)
        # set_mocks would make a root stack and register its outputs before the program has any. run_in_stack makes
        # one that lasts as long as the program, as in a real run; so there must seem to be one here.
        settings.set_root_resource(object())  # type: ignore[arg-type]
        pulumi.runtime.set_mocks(
            self.monitor.mocks, project=self.program.project, stack=stack, preview=preview, monitor=self.monitor
        )
        settings.set_root_resource(None)  # type: ignore[arg-type]
        settings.SETTINGS.engine = self.engine  # pulumi.log goes where the provider's lines go
        settings.SETTINGS.root_directory = str(self.program.folder)
