"""Pulumi's options of a function's call: what a look-up inherits from its parent, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi
from pulumi.runtime import rpc
from pulumi.runtime.sync_await import _sync_await  # every SDK that Pulumi generates calls its plain functions by this

from lmconv_resource.sdk.resources import (
    INHERITED_PROVIDER,
    LicenseConversion,
    LicenseConversionTask,
    inherited_provider,
)
from lmconv_resource.sdk.secret_inputs import find_outputs

_OURS = (LicenseConversionTask, LicenseConversion)


def complete(args: Mapping[str, Any], opts: pulumi.InvokeOptions | None) -> dict[str, Any]:
    """Return the arguments of a plain call, with what they leave out and the parent has.

    Raises:
        pulumi.RunError: an option can't be honoured, or the parent's settings are not known in a preview.
    """
    inherited = _inherit(args, opts)
    _refuse_provider({**args, **inherited}, opts)
    for path, _ in find_outputs(args):
        raise pulumi.RunError(
            f"{path.replace('/', '.')} is an output, which a plain look-up can't wait for: use the form of the look-up "
            "that ends in _output."
        )
    if isinstance(opts, pulumi.InvokeOutputOptions) and opts.depends_on is not None:
        raise pulumi.RunError("A plain look-up waits for no resource: depends_on is for the form that ends in _output.")
    if not inherited:
        return dict(args)
    settings = pulumi.Output.all(**inherited)
    if not _sync_await(settings.is_known()):
        raise pulumi.RunError(
            f"The parent's {' or '.join(inherited)} is not known in this preview: use the form of the look-up that "
            "ends in _output, or pass it to the look-up."
        )
    found: Any = _sync_await(settings.future())
    return {**args, **found}


def complete_output(args: Mapping[str, Any], opts: pulumi.InvokeOptions | None) -> pulumi.Output[dict[str, Any]]:
    """Return the arguments of a call that may wait for outputs, with what they leave out and the parent has.

    As with every function of a provider, they are unknown in a preview while a resource that they depend on, or
    that `opts.depends_on` names, is yet to be created.

    Raises:
        pulumi.RunError: an option can't be honoured.
    """
    complete_args = {**args, **_inherit(args, opts)}
    _refuse_provider(complete_args, opts)
    given: pulumi.Output[dict[str, Any]] = pulumi.Output.all(**complete_args)
    created: pulumi.Output[Any] = pulumi.Output.from_input(cast(Any, _collect_ids(given, opts)))
    return pulumi.Output.all(given, created).apply(lambda both: both[0])


def _inherit(args: Mapping[str, Any], opts: pulumi.InvokeOptions | None) -> dict[str, pulumi.Input[Any]]:
    """Return those of the parent's region, profile and role that the arguments leave out."""
    parent = opts.parent if opts else None
    # What another provider's resource calls a profile need not be one of the shared AWS config.
    is_related = isinstance(parent, (*_OURS, pulumi.ComponentResource))
    names = ("region", "profile", "assume_role") if is_related else ("region",)
    values = {name: getattr(parent, name, None) for name in names if args.get(name) is None}
    return {name: value for name, value in values.items() if value is not None}


async def _collect_ids(given: pulumi.Output[Any], opts: pulumi.InvokeOptions | None) -> list[Any]:
    """Return the ids of all resources that a call depends on: who awaits them waits for these to be created."""
    depends_on = opts.depends_on if isinstance(opts, pulumi.InvokeOutputOptions) else None
    named: Any = await pulumi.Output.from_input(depends_on).future() or []
    resources: set[pulumi.Resource] = {*(named if isinstance(named, Sequence) else [named]), *await given.resources()}
    # A component stands for the resources in it.
    expanded = await rpc._expand_dependencies(resources, None)
    ids = [vars(each).get("id") for each in expanded.values() if isinstance(each, pulumi.CustomResource)]
    return [id for id in ids if id is not None]


def _refuse_provider(args: Mapping[str, Any], opts: pulumi.InvokeOptions | None) -> None:
    """Raise where a provider is given, or handed on by a parent, which could not be honoured."""
    if opts and opts.provider:
        raise pulumi.RunError(
            "opts.provider does not reach a look-up. Pass region, profile or assume_role to it, or set the stack's "
            "aws: settings."
        )
    if inherited_provider(opts) and args.get("profile") is None and args.get("assume_role") is None:
        raise pulumi.RunError(f"A look-up: {INHERITED_PROVIDER.format('look-up')}")
