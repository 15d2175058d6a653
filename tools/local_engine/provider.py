"""What manages custom resources: the contract, the built-in Stash, and the user's mocks."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pulumi.runtime
from pulumi.runtime import rpc

from .properties import PropertyMap, from_struct, to_plain, to_struct
from .state import ResourceState


@dataclass(frozen=True)
class Diff:
    """A provider's answer to the question whether a resource is as the program wants it."""

    changes: bool | None
    """None when the provider can't tell; then the engine compares the inputs."""
    replaces: tuple[str, ...] = ()
    delete_before_replace: bool = False


class InitFailedError(Exception):
    """The resource is there, and is to be recorded, but isn't as it should be (Pulumi's `ErrorResourceInitFailed`)."""

    def __init__(self, id_: str, outputs: PropertyMap, reasons: list[str]) -> None:
        self.id, self.outputs, self.reasons = id_, outputs, reasons
        noun = "error" if len(reasons) == 1 else "errors"
        super().__init__(f"{len(reasons)} {noun} occurred:\n" + "".join(f"\t* {reason}\n" for reason in reasons))


class Provider(Protocol):
    """Manages custom resources. Property bags may contain marked secrets, and unknown values in a preview."""

    def check(self, urn: str, olds: PropertyMap, news: PropertyMap) -> tuple[PropertyMap, list[tuple[str, str]]]:
        """Return the inputs to use, and failures as pairs of property and reason."""

    def diff(self, old: ResourceState, news: PropertyMap, ignore_changes: list[str]) -> Diff:
        """Tell how the resource differs from the new inputs."""

    def create(self, urn: str, inputs: PropertyMap) -> tuple[str, PropertyMap]:
        """Return the id and the outputs of the new resource."""

    def update(self, old: ResourceState, news: PropertyMap, ignore_changes: list[str]) -> PropertyMap:
        """Return the outputs of the changed resource."""

    def read(self, old: ResourceState) -> tuple[str, PropertyMap, PropertyMap | None]:
        """Return the id (empty if the resource is gone), the outputs, and new inputs if the provider gives some."""

    def delete(self, old: ResourceState) -> None:
        """Delete the resource."""


class _InProcess:
    """What providers without a plugin have in common."""

    def check(self, urn: str, olds: PropertyMap, news: PropertyMap) -> tuple[PropertyMap, list[tuple[str, str]]]:
        return news, []

    def diff(self, old: ResourceState, news: PropertyMap, ignore_changes: list[str]) -> Diff:
        return Diff(changes=None)

    def read(self, old: ResourceState) -> tuple[str, PropertyMap, PropertyMap | None]:
        return old.id, old.outputs, None

    def delete(self, old: ResourceState) -> None:
        return None


class StashProvider(_InProcess):
    """`pulumi.Stash`: its output keeps the first input it was given, until the resource is replaced."""

    def check(self, urn: str, olds: PropertyMap, news: PropertyMap) -> tuple[PropertyMap, list[tuple[str, str]]]:
        """Insist on the one input."""
        if "input" not in news:
            return news, [("input", 'missing required property "input"')]
        return news, [(key, f'unknown property "{key}"') for key in news if key != "input"]

    def create(self, urn: str, inputs: PropertyMap) -> tuple[str, PropertyMap]:
        """Keep the input as output."""
        return str(uuid.uuid4()), {"input": inputs["input"], "output": inputs["input"]}

    def update(self, old: ResourceState, news: PropertyMap, ignore_changes: list[str]) -> PropertyMap:
        """Take the new input, and leave the output."""
        return {"input": news["input"], "output": old.outputs.get("output")}


@contextmanager
def thread_event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give an event loop for Pulumi's conversions on this worker thread, closed afterwards."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class MocksProvider(_InProcess):
    """Every other type, answered by the user's `pulumi.runtime.Mocks`."""

    def __init__(self, mocks: pulumi.runtime.Mocks) -> None:
        self._mocks = mocks

    def create(self, urn: str, inputs: PropertyMap) -> tuple[str, PropertyMap]:
        """Ask the mocks."""
        return self._new_resource(urn, inputs, None)

    def update(self, old: ResourceState, news: PropertyMap, ignore_changes: list[str]) -> PropertyMap:
        """Ask the mocks, which see the id."""
        return self._new_resource(old.urn, news, old.id)[1]

    def _new_resource(self, urn: str, inputs: PropertyMap, id_: str | None) -> tuple[str, PropertyMap]:
        type_, name = urn.split("::", 3)[2:]
        with thread_event_loop() as loop:
            args = pulumi.runtime.MockResourceArgs(
                typ=type_.split("$")[-1],
                name=name,
                inputs=rpc.deserialize_properties(to_struct(inputs)),
                resource_id=id_,
                custom=True,
            )
            new_id, state = self._mocks.new_resource(args)
            outputs: Any = loop.run_until_complete(rpc.serialize_properties(state, {}))
        return new_id or id_ or "", from_struct(outputs)


def inputs_differ(old: PropertyMap, new: PropertyMap) -> bool:
    """Whether two bags differ in more than their secrets' marks."""
    return bool(to_plain(old) != to_plain(new))
