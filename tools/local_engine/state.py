"""The stack's state: what the engine knows of each resource between two operations."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from .properties import PropertyMap


@dataclass(eq=False)
class ResourceState:
    """What the engine knows of one resource. Secrets among the properties are marked, not encrypted."""

    urn: str
    type: str
    custom: bool = True
    """Whether a provider manages it; a component, and the stack itself, has none."""
    id: str = ""
    inputs: PropertyMap = field(default_factory=dict)
    outputs: PropertyMap = field(default_factory=dict)
    parent: str = ""
    dependencies: list[str] = field(default_factory=list)
    external: bool = False
    """Whether it was only read (`opts.id`), so that it is never deleted."""
    delete: bool = False
    """Whether it has been replaced and waits for its deletion."""

    init_errors: list[str] = field(default_factory=list)
    """Why its create or update ended though it is there; the next `up` updates it, whatever its diff says."""

    @property
    def name(self) -> str:
        """The name the program gave it."""
        return self.urn.split("::", 3)[3]


class StackState:
    """All resources of a stack, written to a file after every change so that nothing is lost when the process dies.

    Without a path it lives in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._resources: list[ResourceState] = []
        self.config: PropertyMap | None = None
        """What the dynamic provider was configured with by the last `up`, secrets marked; None if not recorded."""
        if path is not None and path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            self._resources = [ResourceState(**each) for each in stored["resources"]]
            self.config = stored.get("config")  # a file that was written before it was kept has none

    @property
    def resources(self) -> list[ResourceState]:
        """A copy of the list, in the order of creation."""
        with self._lock:
            return list(self._resources)

    def find(self, urn: str) -> ResourceState | None:
        """Return the resource of that URN; one that waits for its deletion does not count."""
        with self._lock:
            return next((each for each in self._resources if each.urn == urn and not each.delete), None)

    def put(self, new: ResourceState, old: ResourceState | None = None) -> None:
        """Store a resource, in the place of the old one if that is still there."""
        with self._lock:
            if old in self._resources:
                self._resources[self._resources.index(old)] = new
                if vars(new) == vars(old):
                    return  # the engine, too, writes nothing for what is as it was
            else:
                self._resources.append(new)
            self.save()

    def record_config(self, config: PropertyMap) -> None:
        """Store what the dynamic provider is configured with."""
        with self._lock:
            if config != self.config:
                self.config = config
                self.save()

    def remove(self, state: ResourceState) -> None:
        """Forget a resource."""
        with self._lock:
            self._resources.remove(state)
            self.save()

    def save(self) -> None:
        """Write the file, in one step: a reader sees the old state or the new one, never half of it."""
        if self._path is None:
            return
        with self._lock:
            # A line for each resource: json's `indent` takes ten times as long, at every change.
            resources = ",\n".join(json.dumps(vars(each)) for each in self._resources)
            config = "" if self.config is None else f'"config": {json.dumps(self.config)}, '
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # mkstemp makes the file readable by its owner only, which a state with secrets in clear should be.
            handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f'{{"version": 1, {config}"resources": [\n{resources}\n]}}\n')
            Path(temporary).replace(self._path)
