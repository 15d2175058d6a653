"""Which inputs are secret. Pulumi hands a dynamic provider their values without a word of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi

from lmconv_resource.sdk.args import AssumeRoleArgs, FleetInstanceArgs, LicenseContextArgs, ProductCodeArgs

_NESTED = (AssumeRoleArgs, FleetInstanceArgs, LicenseContextArgs, ProductCodeArgs)


def secret_paths(inputs: Mapping[str, Any]) -> pulumi.Output[list[str] | None] | None:
    """Return where secrets are in inputs, such as `assume_role/0/external_id`; None where none can be."""
    outputs = list(find_outputs({name: value for name, value in inputs.items() if not name.startswith("__")}))
    return pulumi.Output.from_input(_select_secret(outputs)) if outputs else None


def to_secret_mark(*inputs: Any) -> pulumi.Output[str | None] | None:
    """Return an empty secret where one of the inputs is a secret, None where none is.

    As an input it makes the output of the same name a secret: Pulumi knows no other way to that for a dynamic
    resource before its program has run.
    """
    outputs = [output for _, output in find_outputs(inputs)]
    if not outputs:
        return None

    async def mark() -> Any:
        return pulumi.Output.secret("") if any([await output.is_secret() for output in outputs]) else None

    return pulumi.Output.from_input(mark())


def without_mark(output: pulumi.Output[Any]) -> pulumi.Output[Any]:
    """Return an output without the mark: None where the provider has left it, unknown while a preview has only that."""

    async def known_value() -> Any:
        value = await output.future(with_unknowns=False)
        return None if value == "" else value

    async def is_known() -> bool:
        return await output.is_known() and not (pulumi.runtime.is_dry_run() and await output.future() == "")

    parts = [
        asyncio.ensure_future(part) for part in (output.resources(), known_value(), is_known(), output.is_secret())
    ]
    for part in parts:  # where one fails, the others are not awaited
        part.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return pulumi.Output(*parts)


async def _select_secret(outputs: list[tuple[str, pulumi.Output[Any]]]) -> list[str] | None:
    return [path for path, output in outputs if await output.is_secret()] or None


def find_outputs(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, pulumi.Output[Any]]]:
    """Yield each output in inputs, at any depth, after its path."""
    if isinstance(value, pulumi.Output):
        yield "/".join(path), value
    elif isinstance(value, (list, tuple)):
        for number, entry in enumerate(value):
            yield from find_outputs(entry, (*path, str(number)))
    elif isinstance(value, (Mapping, *_NESTED)):
        members = value if isinstance(value, Mapping) else vars(value)
        for name, entry in members.items():
            yield from find_outputs(entry, (*path, str(name)))
