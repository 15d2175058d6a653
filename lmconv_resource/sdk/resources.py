"""What programs declare: a task that is tracked, a conversion that is started and tracked, and a fleet of them."""

# Without `from __future__ import annotations`, which makes texts of the types: Pulumi would evaluate them again for
# each resource.

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi.dynamic
from pulumi.output import UNKNOWN

from lmconv_resource.hosts.dynamic.provider import DRY, INSTANCES, SECRETS, TIMEOUTS, URN, DynamicProvider
from lmconv_resource.lifecycle.inputs import CONVERTED
from lmconv_resource.lifecycle.state import REQUEST, TABLE
from lmconv_resource.provider import LicenseConversionTaskProvider
from lmconv_resource.sdk.args import AssumeRole, FleetInstanceArgs, LicenseContextArgs, naming_close, secret_paths
from lmconv_resource.sdk.outputs import FleetInstanceOutcome, LicenseContext, ProductCode


class _Resource(pulumi.dynamic.Resource):
    """What all resources hand to their provider beside their inputs."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Pulumi finds the types of outputs in a class's own annotations only, not in its bases'.
        bases = [base for base in reversed(cls.__mro__) if issubclass(base, _Resource)]
        cls.__annotations__ = {name: kind for base in bases for name, kind in inspect.get_annotations(base).items()}
        if "__init__" in vars(cls):
            setattr(cls, "__init__", naming_close(vars(cls)["__init__"]))  # noqa: B010 -- mypy lets nobody assign it

    def __init__(
        self,
        provider: DynamicProvider,
        arguments: Mapping[str, Any],
        hidden: Mapping[str, Any] | None = None,
        *,
        repeating: tuple[str, ...] = (),
        secrets: tuple[str, ...] = (),
    ) -> None:
        """Register the resource, with the arguments of the class's own constructor and what else it is handed.

        What is `repeating` an input of `secrets`, outputs and parts of the record, is a secret where that input is one.
        """
        resource_name, opts = arguments["resource_name"], arguments["opts"]
        inputs = {entry.name: arguments[entry.name] for entry in provider.controller.inputs.properties}
        refuse_providers(resource_name, "resource", inputs, opts)
        # As an input, a secret makes the output of the same name one: Pulumi knows no other way to that for a dynamic
        # resource before its program has run.
        found = secret_paths({name: inputs[name] for name in secrets})
        mark: Any = None if found is None else found.apply(lambda paths: pulumi.Output.secret("") if paths else None)
        # Each property costs the SDK several tasks: what is neither given nor an output is left out.
        given = {
            **inputs,
            SECRETS: secret_paths(inputs),
            **(hidden or {}),
            **dict.fromkeys(repeating, mark),
            URN: _make_urn(self, resource_name, opts),
            TIMEOUTS: _to_timeouts(opts),
            DRY: True if pulumi.runtime.is_dry_run() else None,
        }
        props = {
            **dict.fromkeys(type(self).__annotations__),
            **{name: value for name, value in given.items() if value is not None},
        }
        super().__init__(provider, resource_name, props, opts)
        for name in repeating if mark is not None else ():
            if name in type(self).__annotations__:
                setattr(self, name, getattr(self, name).apply(_without_mark))


class _TrackedTask(_Resource):
    """The outputs that the resources of one task have: a license conversion task as AWS shows it."""

    license_conversion_task_id: pulumi.Output[str]
    """The task's id, `lct-…`."""

    region: pulumi.Output[str]
    """The AWS region that the task was looked up in."""

    resource_arn: pulumi.Output[str]
    """The ARN of the resource that is converted, an EC2 instance."""

    source_license_context: pulumi.Output[LicenseContext]
    """What the resource was licensed as before."""

    destination_license_context: pulumi.Output[LicenseContext]
    """What the resource is to be licensed as."""

    status: pulumi.Output[str]
    """`IN_PROGRESS`, `SUCCEEDED` or `FAILED`."""

    status_message: pulumi.Output[str | None]
    """What AWS says of the status. Control characters are spelled out (`\\x1b`)."""

    start_time: pulumi.Output[str | None]
    """When the conversion started: RFC 3339, UTC."""

    license_conversion_time: pulumi.Output[str | None]
    """When the license was converted, which other steps can follow: RFC 3339, UTC."""

    end_time: pulumi.Output[str | None]
    """When the conversion ended: RFC 3339, UTC; not set while it runs."""

    is_complete: pulumi.Output[bool]
    """Whether the conversion has ended, in success or in failure."""

    duration_seconds: pulumi.Output[float | None]
    """Seconds from start to end by AWS's clock; not set until it has ended."""


class LicenseConversionTask(_TrackedTask, module="lmconv", name="LicenseConversionTask"):
    """Tracks a license conversion task of AWS License Manager, and waits for its end if asked to.

    Declaring one starts nothing in AWS and destroying one undoes nothing there: AWS has no call that cancels or undoes
    a conversion. Its Pulumi id is the task's id.

    Source: https://docs.aws.amazon.com/license-manager/latest/APIReference/API_GetLicenseConversionTask.html

    Example:
        ```python
        task = LicenseConversionTask(
            "task", license_conversion_task_id="lct-0123456789abcdef0", wait_for_completion=True
        )
        pulumi.export("ended", task.end_time)
        ```
    """

    # -- constructor of a task: `make tables` writes it --
    def __init__(
        self,
        resource_name: str,
        *,
        license_conversion_task_id: pulumi.Input[str] | None = None,
        resource_arn: pulumi.Input[str] | None = None,
        follow_newest: pulumi.Input[bool] | None = None,
        wait_for_completion: pulumi.Input[bool] | None = None,
        ignore_failure: pulumi.Input[bool] | None = None,
        region: pulumi.Input[str] | None = None,
        profile: pulumi.Input[str] | None = None,
        assume_role: AssumeRole | None = None,
        poll_interval_seconds: pulumi.Input[float] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare that the stack tracks a task, named by its id or as the newest of a resource.

        Args:
            resource_name: the resource's name in the stack.
            license_conversion_task_id: the task's id, `lct-` and letters and digits, at most 50 characters in all.
                Exactly one of this and `resource_arn` is given. Another one replaces the resource.
            resource_arn: the ARN of what is converted, an EC2 instance: its newest task is found, once, and tracked
                from then on, whatever newer tasks there are. Another one replaces the resource.
            follow_newest: whether the tracked task is replaced when the resource has a newer one, which a preview
                shows. Asks AWS at each `up`.
            wait_for_completion: whether the resource, and all that depends on it, blocks until the task has ended; a
                task that ended FAILED is then an error. Default False.
            ignore_failure: whether a FAILED task is recorded, with a warning, where waiting for it would be an error.
                Default False.
            region: the task's AWS region. Default: that of an ARN, which no other one fits; else `aws:region` of the
                stack, AWS_REGION, the shared AWS config. Another one replaces the resource.
            profile: the profile of the shared AWS config to call as, instead of the stack's. Another one replaces
                nothing.
            assume_role: a role to assume, or a list of roles each of which is assumed with the credentials of the one
                before it, after those of the stack. Another one replaces nothing.
            poll_interval_seconds: a constant pause between two checks while waiting, 1 to 300. Default: 2.6 s at first,
                growing to 30 s.
            opts: Pulumi's options. `custom_timeouts` (create, update) says how long to wait; default 12 hours. One that
                a transform sets never arrives: Pulumi does not tell a dynamic resource of it.
        """
        # -- end of constructor of a task --
        super().__init__(LicenseConversionTaskProvider(), vars())

    @classmethod
    def get(
        cls,
        resource_name: str,
        id: pulumi.Input[str],
        *,
        region: pulumi.Input[str] | None = None,
        profile: pulumi.Input[str] | None = None,
        assume_role: AssumeRole | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> "LicenseConversionTask":
        """Read a task without managing it: looked up at every `up`, never waited for.

        Args:
            resource_name: the resource's name in the stack.
            id: the task's id, `lct-…`.
            region: as for the constructor.
            profile: as for the constructor.
            assume_role: as for the constructor.
            opts: Pulumi's options.
        """
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id))
        return cls(
            resource_name,
            license_conversion_task_id=id,
            region=region,
            profile=profile,
            assume_role=assume_role,
            opts=opts,
        )


class LicenseConversion(_TrackedTask, module="lmconv", name="LicenseConversion"):
    """Starts a license conversion in AWS License Manager, once, and tracks its task. Its Pulumi id is the task's id.

    What is licensed as declared already, or is being converted to it, is adopted and not converted again: AWS's call
    has no client token, so a killed `up` could else start a conversion twice. docs/starting.md has every case. The
    source is compared where the program declares one, else it is what EC2 bills the instance as; product codes count
    where the program names some. For a later `up` a success of the same resource to the same destination is no change.

    Destroying one undoes nothing: AWS has no such call, and the license stays as it is. Declare one with the contexts
    exchanged to convert back.

    Source: https://docs.aws.amazon.com/license-manager/latest/APIReference/API_CreateLicenseConversionTaskForResource.html

    Example:
        ```python
        conversion = LicenseConversion(
            "conversion",
            resource_arn="arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0",
            destination_license_context={"usage_operation": UsageOperation.WINDOWS},
            stop_and_restart=True,
        )
        pulumi.export("licensed_as", conversion.verified_usage_operation)
        ```
    """

    adopted: pulumi.Output[bool]
    """Whether the conversion was found instead of started: in progress or done before this resource was created."""

    license_conversion_task_id: pulumi.Output[str | None]  # type: ignore[assignment]
    """The task's id, `lct-…`; not set where EC2 bills the instance as wanted and AWS shows no task that led there."""

    verified_usage_operation: pulumi.Output[str | None]
    """What EC2 bills the instance as after the end; not set without the right to ec2:DescribeInstances."""

    verified_product_codes: pulumi.Output[list[ProductCode] | None]
    """The product codes that EC2 shows of the instance then; not set without that right."""

    # -- constructor of a conversion: `make tables` writes it --
    def __init__(
        self,
        resource_name: str,
        *,
        resource_arn: pulumi.Input[str],
        source_license_context: pulumi.Input[LicenseContextArgs] | None = None,
        destination_license_context: pulumi.Input[LicenseContextArgs],
        stop_and_restart: pulumi.Input[bool] | None = None,
        force_stop_after: pulumi.Input[str] | None = None,
        correct_drift: pulumi.Input[bool] | None = None,
        retry_failed: pulumi.Input[bool] | None = None,
        preflight: pulumi.Input[bool] | None = None,
        allow_unlisted_pair: pulumi.Input[bool] | None = None,
        allow_instance_store_loss: pulumi.Input[bool] | None = None,
        wait_for_completion: pulumi.Input[bool] | None = None,
        ignore_failure: pulumi.Input[bool] | None = None,
        region: pulumi.Input[str] | None = None,
        profile: pulumi.Input[str] | None = None,
        assume_role: AssumeRole | None = None,
        poll_interval_seconds: pulumi.Input[float] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare that a resource is converted.

        Args:
            resource_name: the resource's name in the stack.
            resource_arn: the ARN of what is converted, an EC2 instance: a stopped one, or any one with
                `stop_and_restart`. Another one replaces the resource.
            source_license_context: what it is licensed as before. Default: what EC2 bills it as when the conversion
                starts (ec2:DescribeInstances). Another one is no change of a conversion that has succeeded.
            destination_license_context: what it is to be licensed as. Product codes count where some are named: AWS may
                fill them in. Another one replaces the resource.
            stop_and_restart: whether an instance that runs is stopped before its conversion and started again after it,
                in success and in failure; one that was stopped stays stopped. Before it stops, the instance gets the
                tag `lmconv:restart`, by which the next `up` continues after an interrupted one. Needs
                ec2:DescribeInstances, ec2:DescribeInstanceAttribute, ec2:StopInstances, ec2:StartInstances,
                ec2:CreateTags and ec2:DeleteTags. Default False.
            force_stop_after: how long the operating system may take to shut down before the instance is stopped by
                force, such as `8m`. Default: for as long as `custom_timeouts` allows.
            correct_drift: whether the resource is replaced by a new conversion when a refresh has seen that EC2 bills
                the instance as something else than the destination; without it, a refresh only warns. Not for the first
                of two steps. Default False.
            retry_failed: whether a conversion is started although the last three to the same destination FAILED within
                24 hours. Default False.
            preflight: whether what AWS asks of an instance is checked before anything is done, as far as the caller's
                rights reach, and in previews where the inputs are known. Default: with `stop_and_restart`.
            allow_unlisted_pair: whether AWS is asked for a conversion between two known licenses that its user guide
                does not list. Default False.
            allow_instance_store_loss: whether an instance with instance store volumes may be stopped, which erases all
                data on them. Default False.
            wait_for_completion: whether the resource, and all that depends on it, blocks until the task has ended; a
                task that ended FAILED is then an error. Default True.
            ignore_failure: whether a FAILED task is recorded, with a warning, where waiting for it would be an error.
                Default False.
            region: the task's AWS region. Default: that of an ARN, which no other one fits; else `aws:region` of the
                stack, AWS_REGION, the shared AWS config. Another one replaces the resource.
            profile: the profile of the shared AWS config to call as, instead of the stack's. Another one replaces
                nothing.
            assume_role: a role to assume, or a list of roles each of which is assumed with the credentials of the one
                before it, after those of the stack. Another one replaces nothing.
            poll_interval_seconds: a constant pause between two checks while waiting, 1 to 300. Default: 2.6 s at first,
                growing to 30 s.
            opts: Pulumi's options. `custom_timeouts` (create, update) says how long to wait; default 12 hours. One that
                a transform sets never arrives: Pulumi does not tell a dynamic resource of it.
        """
        # -- end of constructor of a conversion --
        from lmconv_resource.conversion_provider import LicenseConversionProvider  # with all that a start takes

        arguments = vars()
        super().__init__(
            LicenseConversionProvider(),
            arguments,
            # What was asked for is recorded under this name too, and is a secret there where it is one here.
            {REQUEST: {name: arguments[name] for name in CONVERTED}},
            repeating=("verified_usage_operation", "verified_product_codes"),
            secrets=("source_license_context", "destination_license_context"),
        )


class ConversionFleet(_Resource, module="lmconv", name="ConversionFleet"):
    """Converts the licenses of many instances, in order and so many at a time, as one resource.

    Each instance is converted as by a `LicenseConversion`. One that can't be, or whose conversion fails, stops none of
    the others: the resource says what became of each, and it succeeds once all have come to their end. Only an instance
    that ran before and does not run in the end makes it fail in any case.

    Each `up` begins what has not been begun, continues what was interrupted, and looks again at what could not be
    converted; it leaves alone what is done, and what FAILED. A row that leaves the table is forgotten. Destroying the
    fleet undoes nothing.

    Example:
        ```python
        fleet = ConversionFleet(
            "fleet",
            instances=[{"resource_arn": "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"}],
            destination_license_context={"usage_operation": UsageOperation.WINDOWS},
            canaries=1,
        )
        pulumi.export("readme", fleet.report)
        ```
    """

    instances: pulumi.Output[dict[str, FleetInstanceOutcome]]
    """What became of each instance, by its name."""

    succeeded: pulumi.Output[list[str]]
    """The names of those that are licensed as asked for: SUCCEEDED and ALREADY_DONE."""

    failed: pulumi.Output[list[str]]
    """The names of those that are not: FAILED and REFUSED."""

    not_begun: pulumi.Output[list[str]]
    """The names of those that the next `up` continues: NOT_BEGUN and IN_PROGRESS."""

    report: pulumi.Output[str]
    """A report in Markdown: a summary, a row for each instance, reasons and next steps, and when each ran."""

    # -- constructor of a fleet: `make tables` writes it --
    def __init__(
        self,
        resource_name: str,
        *,
        instances: pulumi.Input[Sequence[pulumi.Input[FleetInstanceArgs | Mapping[str, Any]]]],
        destination_license_context: pulumi.Input[LicenseContextArgs] | None = None,
        max_concurrent: pulumi.Input[int] | None = None,
        canaries: pulumi.Input[int] | None = None,
        stop_after_failures: pulumi.Input[int] | None = None,
        begin_within: pulumi.Input[str] | None = None,
        fail_on_error: pulumi.Input[bool] | None = None,
        stop_and_restart: pulumi.Input[bool] | None = None,
        force_stop_after: pulumi.Input[str] | None = None,
        preflight: pulumi.Input[bool] | None = None,
        allow_unlisted_pair: pulumi.Input[bool] | None = None,
        allow_instance_store_loss: pulumi.Input[bool] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare that instances are converted.

        Args:
            resource_name: the resource's name in the stack.
            instances: the instances, in the order in which they are begun. Each has a name, by default the instance's
                id, and no name or ARN comes twice.
            destination_license_context: the destination of the instances that name none of their own.
            max_concurrent: how many instances of one account and region are under way at once, whatever the
                credentials: from before the stop until they run again. Default 20.
            canaries: how many are begun first, alone; the others only if each of these has SUCCEEDED. Default 0.
            stop_after_failures: after how many that were begun and FAILED, or were refused by AWS, no more are begun.
                What is in progress is finished. Default: all are begun.
            begin_within: how long after the start of the operation the last one may be begun, such as `4h`. Default:
                there is no end.
            fail_on_error: whether the resource fails, once all is done that can be, when an instance is not converted.
                One that ran before and does not run in the end makes it fail in any case. Default False.
            stop_and_restart: whether an instance that runs is stopped before its conversion and started again after it,
                in success and in failure; one that was stopped stays stopped. Before it stops, the instance gets the
                tag `lmconv:restart`, by which the next `up` continues after an interrupted one. Needs
                ec2:DescribeInstances, ec2:DescribeInstanceAttribute, ec2:StopInstances, ec2:StartInstances,
                ec2:CreateTags and ec2:DeleteTags. Default False.
            force_stop_after: how long the operating system may take to shut down before the instance is stopped by
                force, such as `8m`. Default: for as long as `custom_timeouts` allows.
            preflight: whether what AWS asks of an instance is checked before anything is done, as far as the caller's
                rights reach, and in previews where the inputs are known. Default: with `stop_and_restart`.
            allow_unlisted_pair: whether AWS is asked for a conversion between two known licenses that its user guide
                does not list. Default False.
            allow_instance_store_loss: whether an instance with instance store volumes may be stopped, which erases all
                data on them. Default False.
            opts: Pulumi's options. `custom_timeouts` (create, update) says how long to wait; default 12 hours. One that
                a transform sets never arrives: Pulumi does not tell a dynamic resource of it.
        """
        # -- end of constructor of a fleet --
        from lmconv_resource.fleet_provider import ConversionFleetProvider  # with all that a start takes

        super().__init__(
            ConversionFleetProvider(),
            vars(),
            # An output has the name of this input, which is handed over under another and printed in no diff either.
            {INSTANCES: instances},
            repeating=("instances", "succeeded", "failed", "not_begun", "report", "rows", TABLE),
            secrets=("instances", "destination_license_context"),
        )


def refuse_providers(
    who: str, kind: str, given: Mapping[str, Any], opts: pulumi.ResourceOptions | pulumi.InvokeOptions | None
) -> None:
    """Raise where a provider is given, which Pulumi would ignore for a dynamic resource without a word.

    So it would one for AWS's resources that the parent hands on, unless what is given says itself who calls.
    """
    for name in ("provider", "providers"):
        if getattr(opts, name, None):
            raise pulumi.RunError(
                f"{who}: opts.{name} does not reach this {kind}. Pass region, profile or assume_role to it, or set the "
                "stack's aws: settings."
            )
    inherited = opts.parent.get_provider("aws:index:any") if opts and opts.parent else None
    if inherited and given.get("profile") is None and given.get("assume_role") is None:
        raise pulumi.RunError(
            f"{who}: the aws.Provider of its parent does not reach this {kind}. Pass profile or assume_role to it, or "
            "assume_role=[] where the stack's aws: settings are meant."
        )


def _without_mark(value: object) -> object:
    """Return an output's value: None where the provider has left the mark, unknown while a preview has only that."""
    if value != "":
        return value
    return UNKNOWN if pulumi.runtime.is_dry_run() else None


def _make_urn(resource: pulumi.dynamic.Resource, name: str, opts: pulumi.ResourceOptions | None) -> pulumi.Input[str]:
    """Return the URN that the resource will have, which the SDK tells a provider in no other way.

    Not by `pulumi.create_urn`: its output depends on the parent, so that the child of a component would wait for all
    the component's children, itself among them. Without a parent it makes five outputs of what is known at once, and
    what the SDK does at the end of a program grows with their square.
    """
    urn = f"pulumi-python:{resource._resource_type_name}::{name}"
    parent = opts.parent if opts else None
    if parent is None:
        return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{urn}"

    async def add_parent() -> str:
        stack, project, parent_type, _ = (await parent.urn.future() or "").split("::", 3)
        # The stack is no part of its children's type.
        prefix = "" if parent_type == "pulumi:pulumi:Stack" else f"{parent_type}$"
        return f"{stack}::{project}::{prefix}{urn}"

    return add_parent()


def _to_timeouts(opts: pulumi.ResourceOptions | None) -> dict[str, str] | None:
    timeouts: Any = (opts.custom_timeouts if opts else None) or {}
    given = timeouts if isinstance(timeouts, dict) else vars(timeouts)
    return {name: given[name] for name in ("create", "update") if given.get(name)} or None
