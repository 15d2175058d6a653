"""Functions in the manner of Pulumi's data sources: look tasks up while the program runs.

They use the settings that the resources use, wait for nothing, and import boto3 only when they are called. Under
`pulumi.runtime.set_mocks` they go to `Mocks.call`, as every function of a provider does, and never to AWS: with the
tokens `lmconv:index:getLicenseConversionTask` and `lmconv:index:getLicenseConversionTasks`, and arguments and results
named as here.
"""

import asyncio
import contextvars
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import pulumi
import pulumi.runtime
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.sync_await import _sync_await  # every SDK that Pulumi generates calls its plain functions by this

from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.dynamic.provider import look_ups
from lmconv_resource.lifecycle.track import FUNCTIONS, GET_TOKEN, LIST_TOKEN
from lmconv_resource.sdk.args import AssumeRoleArgs, find_outputs, naming_close
from lmconv_resource.sdk.outputs import GetLicenseConversionTaskResult
from lmconv_resource.sdk.resources import LicenseConversion, LicenseConversionTask, refuse_providers

Result = TypeVar("Result")

PlainRole = AssumeRoleArgs | Mapping[str, Any] | Sequence[AssumeRoleArgs | Mapping[str, Any]]
"""A role, or a chain of roles, whose members are plain values."""


@naming_close
def get_license_conversion_task(
    id: str,
    *,
    region: str | None = None,
    profile: str | None = None,
    assume_role: PlainRole | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> GetLicenseConversionTaskResult:
    """Look a task up by its id.

    Args:
        id: the task's id, `lct-…`.
        region: the AWS region to ask. Default: `aws:region` of the stack, AWS_REGION, the shared AWS config.
        profile: the profile of the shared AWS config to ask as, instead of the stack's.
        assume_role: a role to assume, or a list that is a chain of roles.
        opts: Pulumi's options. From `parent` come the region, profile and role that are not given here.

    Raises:
        pulumi.RunError: the task could not be looked up; its text is one line.
    """
    return GetLicenseConversionTaskResult(_call(GET_TOKEN, **vars()))


@naming_close
def get_license_conversion_task_output(
    id: pulumi.Input[str],
    *,
    region: pulumi.Input[str] | None = None,
    profile: pulumi.Input[str] | None = None,
    assume_role: pulumi.Input[PlainRole] | None = None,
    opts: pulumi.InvokeOptions | pulumi.InvokeOutputOptions | None = None,
) -> pulumi.Output[GetLicenseConversionTaskResult]:
    """Look a task up by its id, which may be another resource's output. The program goes on meanwhile.

    `opts` is as for the plain form, and may be `pulumi.InvokeOutputOptions(depends_on=[…])`: resources to wait for.
    """
    return _call_later(get_license_conversion_task, **vars())


@naming_close
def get_license_conversion_tasks(
    *,
    resource_arns: Sequence[str] | None = None,
    statuses: Sequence[str] | None = None,
    region: str | None = None,
    profile: str | None = None,
    assume_role: PlainRole | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> list[GetLicenseConversionTaskResult]:
    """List the tasks of the account in the region, oldest first; an empty list is a result.

    Args:
        resource_arns: only tasks of these resources. AWS takes one a call, so each costs a call.
        statuses: only tasks with one of these: `IN_PROGRESS`, `SUCCEEDED`, `FAILED`.
        region: the AWS region to ask. Default: the ARNs', `aws:region` of the stack, AWS_REGION, the shared AWS config.
        profile: the profile of the shared AWS config to ask as, instead of the stack's.
        assume_role: a role to assume, or a list that is a chain of roles.
        opts: Pulumi's options. From `parent` come the region, profile and role that are not given here.

    Raises:
        pulumi.RunError: the tasks could not be listed; its text is one line.
    """
    answer = _call(LIST_TOKEN, **vars())
    return [GetLicenseConversionTaskResult(task) for task in answer.get("tasks") or ()]


@naming_close
def get_license_conversion_tasks_output(
    *,
    resource_arns: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
    statuses: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
    region: pulumi.Input[str] | None = None,
    profile: pulumi.Input[str] | None = None,
    assume_role: pulumi.Input[PlainRole] | None = None,
    opts: pulumi.InvokeOptions | pulumi.InvokeOutputOptions | None = None,
) -> pulumi.Output[list[GetLicenseConversionTaskResult]]:
    """List the tasks of the account in the region, where the arguments may be other resources' outputs.

    `opts` is as for the plain form, and may be `pulumi.InvokeOutputOptions(depends_on=[…])`: resources to wait for.
    """
    return _call_later(get_license_conversion_tasks, **vars())


def _call(token: str, *, opts: pulumi.InvokeOptions | None, **args: Any) -> Mapping[str, Any]:
    """Return what a function answers, of a unit test's mocks where it has set some; its arguments are plain values."""
    inherited = _inherit(args, opts)
    for path, _ in find_outputs(args):
        raise pulumi.RunError(
            f"{path.replace('/', '.')} is an output, which a plain look-up can't wait for: use the form of the look-up "
            "that ends in _output."
        )
    if isinstance(opts, pulumi.InvokeOutputOptions) and opts.depends_on is not None:
        raise pulumi.RunError("A plain look-up waits for no resource: depends_on is for the form that ends in _output.")
    if inherited:
        handed_on = pulumi.Output.all(**inherited)
        if not _sync_await(handed_on.is_known()):
            raise pulumi.RunError(
                f"The parent's {' or '.join(inherited)} is not known in this preview: use the form of the look-up that "
                "ends in _output, or pass it to the look-up."
            )
        known = _sync_await(handed_on.future())
        args |= known or {}
    if _is_mocked():
        given = {name: value for name, value in args.items() if value is not None}
        return cast(Mapping[str, Any], pulumi.runtime.invoke(token, given).value or {})
    try:
        with look_ups.session.operation(None) as op:
            return FUNCTIONS[token](op, args)
    except LicenseConversionError as error:
        raise pulumi.RunError(str(error)) from error


def _call_later(
    function: Callable[..., Result], *, opts: pulumi.InvokeOptions | None, **args: Any
) -> pulumi.Output[Result]:
    """Return what a plain form returns, once its arguments are known.

    As with every function of a provider, that is unknown in a preview while a resource that they depend on, or that
    `opts.depends_on` names, is yet to be created.
    """
    given: pulumi.Output[dict[str, Any]] = pulumi.Output.all(**{**args, **_inherit(args, opts)})
    created: pulumi.Output[Any] = pulumi.Output.from_input(cast(Any, _collect_ids(given, opts)))
    return pulumi.Output.all(given, created).apply(lambda both: _aside(function, **both[0]))


async def _aside(function: Callable[..., Result], **args: Any) -> Result:
    """Return what a look-up returns, without holding up the program's event loop."""
    if _is_mocked():
        return function(**args)
    # Pulumi's settings live in context variables, which a thread of a pool does not have by itself.
    call = functools.partial(contextvars.copy_context().run, function, **args)
    return await asyncio.get_running_loop().run_in_executor(look_ups.threads, call)


def _is_mocked() -> bool:
    """Return whether a unit test has set mocks; an engine that is played over the mock monitor says so."""
    monitor = settings.get_monitor()
    return isinstance(monitor, mocks.MockMonitor) and not getattr(monitor, "runs_look_ups", False)


def _inherit(args: Mapping[str, Any], opts: pulumi.InvokeOptions | None) -> dict[str, pulumi.Input[Any]]:
    """Return those of the parent's region, profile and role that the arguments leave out."""
    parent = opts.parent if opts else None
    # What another provider's resource calls a profile need not be one of the shared AWS config.
    is_related = isinstance(parent, (LicenseConversionTask, LicenseConversion, pulumi.ComponentResource))
    names = ("region", "profile", "assume_role") if is_related else ("region",)
    values = {name: getattr(parent, name, None) for name in names if args.get(name) is None}
    inherited = {name: value for name, value in values.items() if value is not None}
    refuse_providers("A look-up", "look-up", {**args, **inherited}, opts)
    return inherited


async def _collect_ids(given: pulumi.Output[Any], opts: pulumi.InvokeOptions | None) -> list[Any]:
    """Return the ids of all resources that a call depends on: who awaits them waits for these to be created."""
    depends_on = opts.depends_on if isinstance(opts, pulumi.InvokeOutputOptions) else None
    named: Any = await pulumi.Output.from_input(depends_on).future() or []
    resources: set[pulumi.Resource] = {*(named if isinstance(named, Sequence) else [named]), *await given.resources()}
    # A component stands for the resources in it.
    expanded = await rpc._expand_dependencies(resources, None)
    ids = [vars(each).get("id") for each in expanded.values() if isinstance(each, pulumi.CustomResource)]
    return [id for id in ids if id is not None]
