"""What programs declare: `LicenseConversionTask` tracks a conversion, `LicenseConversion` starts one and tracks it."""

# Without `from __future__ import annotations`, which makes texts of the types: Pulumi would evaluate them again for
# each resource.

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi.dynamic

from lmconv_resource.hosts.dynamic.provider import DRY, SECRETS, TIMEOUTS, URN
from lmconv_resource.lifecycle.state import REQUEST
from lmconv_resource.provider import LicenseConversionTaskProvider
from lmconv_resource.sdk.args import AssumeRoleArgs, AssumeRoleArgsDict, LicenseContextArgs, LicenseContextArgsDict
from lmconv_resource.sdk.outputs import LicenseContext, ProductCode
from lmconv_resource.sdk.secret_inputs import find_secret_paths, to_secret_mark, without_mark

AssumeRole = pulumi.Input[
    AssumeRoleArgs | AssumeRoleArgsDict | Sequence[pulumi.Input[AssumeRoleArgs | AssumeRoleArgsDict]]
]
"""A role, or a chain of roles, each an object or a dict."""


_VERIFIED = ("verified_usage_operation", "verified_product_codes")
"""What EC2 says of the instance afterwards."""


class _TrackedTask(pulumi.dynamic.Resource):
    """The outputs that both resources have: a license conversion task as AWS shows it."""

    license_conversion_task_id: pulumi.Output[str]
    """The task's id, `lct-…`."""

    region: pulumi.Output[str]
    """The AWS region that the task was looked up in."""

    resource_arn: pulumi.Output[str | None]
    """The ARN of the resource that is converted, an EC2 instance."""

    source_license_context: pulumi.Output[LicenseContext | None]
    """What the resource was licensed as before."""

    destination_license_context: pulumi.Output[LicenseContext | None]
    """What the resource is to be licensed as."""

    status: pulumi.Output[str | None]
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Pulumi finds the types of outputs in a class's own annotations only, not in its bases'.
        bases = [base for base in reversed(cls.__mro__) if issubclass(base, _TrackedTask)]
        cls.__annotations__ = {name: kind for base in bases for name, kind in inspect.get_annotations(base).items()}

    def __init__(
        self,
        provider: pulumi.dynamic.ResourceProvider,
        resource_name: str,
        inputs: dict[str, Any],
        opts: pulumi.ResourceOptions | None,
        marks: Mapping[str, pulumi.Input[Any]] | None = None,
    ) -> None:
        _refuse_providers(resource_name, inputs, opts)
        # Each property costs the SDK several tasks: what is neither given nor an output is left out.
        given = {
            **inputs,
            **(marks or {}),
            URN: _make_urn(self, resource_name, opts),
            TIMEOUTS: _to_timeouts(opts),
            SECRETS: find_secret_paths(inputs),
            DRY: True if pulumi.runtime.is_dry_run() else None,
        }
        props = {
            **dict.fromkeys(type(self).__annotations__),
            **{name: value for name, value in given.items() if value is not None},
        }
        super().__init__(provider, resource_name, props, opts)


class LicenseConversionTask(_TrackedTask, module="lmconv", name="LicenseConversionTask"):
    """Tracks a license conversion task of AWS License Manager, and waits for its end if asked to.

    Declaring one starts nothing in AWS and destroying one undoes nothing there: AWS has no call that cancels or undoes
    a conversion. Its Pulumi id is the task's id.

    Source: https://docs.aws.amazon.com/license-manager/latest/APIReference/API_GetLicenseConversionTask.html
    """

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
                Another id replaces the resource. Exactly one of this and `resource_arn` is given.
            resource_arn: the ARN of what is converted, an EC2 instance: its newest task is found, once, and tracked
                from then on, whatever newer tasks there are. Another ARN replaces the resource.
            follow_newest: True replaces the tracked task when the resource has a newer one, which a preview shows. Asks
                AWS at every `up`. Default False.
            wait_for_completion: True blocks the resource, and all that depends on it, until the task has ended; a task
                that ended FAILED is then an error. Default False: record what AWS says now.
            ignore_failure: True records a FAILED task, with a warning, where waiting for it would be an error. Default
                False.
            region: the task's AWS region. Default: the ARN's if there is one, `aws:region` of the stack, AWS_REGION,
                the shared AWS config. Another region replaces the resource.
            profile: the profile of the shared AWS config to call as, instead of the stack's. Another one replaces
                nothing.
            assume_role: a role to assume, an AssumeRoleArgs, or a list that is a chain of roles, after those of the
                stack. Another one replaces nothing.
            poll_interval_seconds: 1 to 300, a constant pause between two looks while waiting. Default: 2.6 s at first,
                growing to 30 s.
            opts: Pulumi's options. `custom_timeouts` (create, update) says how long to wait; default 12 hours. One that
                a transform sets never arrives: Pulumi does not tell a dynamic resource of it.
        """
        inputs = {
            "license_conversion_task_id": license_conversion_task_id,
            "resource_arn": resource_arn,
            "follow_newest": follow_newest,
            "wait_for_completion": wait_for_completion,
            "ignore_failure": ignore_failure,
            "region": region,
            "profile": profile,
            "assume_role": assume_role,
            "poll_interval_seconds": poll_interval_seconds,
        }
        super().__init__(LicenseConversionTaskProvider(), resource_name, inputs, opts)

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

    AWS's call to start a conversion has no client token, so a killed `up` could start one twice. What keeps it from
    happening is this rule, asked before the call and again when an answer to it never arrived:

    | what AWS shows of the resource                                 | then                                        |
    |----------------------------------------------------------------|---------------------------------------------|
    | its newest task is IN_PROGRESS with the same contexts          | adopt it                                    |
    | its newest task is IN_PROGRESS with other contexts             | an error that names that task               |
    | EC2 bills it as the destination                                | done: adopt the newest task that led there  |
    | EC2 bills it as the destination, and no task led there         | done: the id is the resource's ARN          |
    | the newest task that SUCCEEDED has the same contexts           | adopt it: the work is done                  |
    | the same, and EC2 bills it otherwise                           | adopt it, with a warning                    |
    | the same, and EC2 bills it otherwise, with correct_drift       | start, from what EC2 bills it as            |
    | an earlier task did it, and later ones led on from there       | adopt it: the work is done                  |
    | an earlier task did it, and a later one led back               | start                                       |
    | the last three tasks to the destination FAILED within 24 hours | an error with their reasons                 |
    | the same, with retry_failed                                    | start                                       |
    | the newest task FAILED, with any contexts                      | start, after saying why it failed           |
    | the newest task SUCCEEDED with other contexts                  | start                                       |
    | there is none                                                  | start                                       |

    The same contexts are the destination, and the source where the program declares one: left out, it is what EC2
    bills the instance as. Product codes count where the program names some. A later `up` compares its program with the
    record: a success of the same resource to the same destination is no change, whatever the source reads as by then.

    Destroying one undoes nothing: AWS has no such call, and the license stays as it is. Declare one with the contexts
    exchanged to convert back.

    Source: https://docs.aws.amazon.com/license-manager/latest/APIReference/API_CreateLicenseConversionTaskForResource.html
    """

    adopted: pulumi.Output[bool]
    """Whether the conversion was found instead of started: in progress or done before this resource was created."""

    license_conversion_task_id: pulumi.Output[str | None]  # type: ignore[assignment]
    """The task's id, `lct-…`; not set where EC2 bills the instance as wanted and AWS shows no task that led there."""

    verified_usage_operation: pulumi.Output[str | None]
    """What EC2 bills the instance as after the end; not set without the right to ec2:DescribeInstances."""

    verified_product_codes: pulumi.Output[list[ProductCode] | None]
    """The product codes that EC2 shows of the instance then; not set without that right."""

    def __init__(
        self,
        resource_name: str,
        *,
        resource_arn: pulumi.Input[str],
        destination_license_context: pulumi.Input[LicenseContextArgs | LicenseContextArgsDict],
        source_license_context: pulumi.Input[LicenseContextArgs | LicenseContextArgsDict] | None = None,
        stop_and_restart: pulumi.Input[bool] | None = None,
        force_stop_after: pulumi.Input[str] | None = None,
        correct_drift: pulumi.Input[bool] | None = None,
        retry_failed: pulumi.Input[bool] | None = None,
        wait_for_completion: pulumi.Input[bool] | None = None,
        ignore_failure: pulumi.Input[bool] | None = None,
        preflight: pulumi.Input[bool] | None = None,
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
                `stop_and_restart`. Another ARN replaces the resource.
            destination_license_context: what it is to be licensed as. Another one replaces the resource. Product codes
                count where some are named: AWS may fill them in.
            source_license_context: what it is licensed as before. Default: what EC2 bills it as when the conversion
                starts, for which ec2:DescribeInstances is needed. Another one changes nothing once the conversion is
                under way or done.
            stop_and_restart: True stops an instance that runs before its conversion and starts it again after it, in
                success and in failure; one that was stopped stays stopped. Before it stops, the instance gets the tag
                `lmconv:restart`, by which the next `up` goes on after one that was ended. Needs
                ec2:DescribeInstances, ec2:DescribeInstanceAttribute, ec2:StopInstances, ec2:StartInstances,
                ec2:CreateTags and ec2:DeleteTags. Default False.
            force_stop_after: how long the operating system may take to shut down before the instance is stopped by
                force, such as `8m`. Default: for as long as `custom_timeouts` allows.
            correct_drift: True replaces the resource by a new conversion when a refresh has seen that EC2 bills the
                instance as something else than the destination. Not for the first of two steps. Default False: a
                refresh only warns.
            retry_failed: True starts a conversion although the last three to the same destination FAILED within 24
                hours. Default False: that is an error.
            wait_for_completion: False goes on as soon as the conversion has started. Default True: block the resource,
                and all that depends on it, until the conversion has ended; FAILED is then an error, and the next `up`
                starts a new conversion.
            ignore_failure: True records a FAILED conversion, with a warning, and does not try again. Default False.
            preflight: True checks, as far as the caller's rights reach, that the instance exists, is stopped (only
                where nothing here stops it), has no stop protection, is licensed as `source_license_context` says,
                keeps AWS's rules on Dedicated Hosts, has 4 vCPUs for SQL Server, is from no image of Amazon's for BYOL,
                and is managed by Systems Manager; before anything is started, and in previews where the inputs are
                known. Default False.
            region: the AWS region. Default, and the only one that fits: the ARN's.
            profile: the profile of the shared AWS config to call as, instead of the stack's. Another one replaces
                nothing.
            assume_role: a role to assume, an AssumeRoleArgs, or a list that is a chain of roles, after those of the
                stack. Another one replaces nothing.
            poll_interval_seconds: 1 to 300, a constant pause between two looks while waiting. Default: 2.6 s at first,
                growing to 30 s.
            opts: Pulumi's options. `custom_timeouts` (create, update) says how long to wait; default 12 hours. One that
                a transform sets never arrives: Pulumi does not tell a dynamic resource of it.
        """
        inputs = {
            "resource_arn": resource_arn,
            "source_license_context": source_license_context,
            "destination_license_context": destination_license_context,
            # What was asked for is recorded under this name too, and is a secret there where it is one here.
            REQUEST: {
                "resource_arn": resource_arn,
                "source_license_context": source_license_context,
                "destination_license_context": destination_license_context,
            },
            "wait_for_completion": wait_for_completion,
            "ignore_failure": ignore_failure,
            "stop_and_restart": stop_and_restart,
            "force_stop_after": force_stop_after,
            "correct_drift": correct_drift,
            "retry_failed": retry_failed,
            "preflight": preflight,
            "region": region,
            "profile": profile,
            "assume_role": assume_role,
            "poll_interval_seconds": poll_interval_seconds,
        }
        from lmconv_resource.conversion_provider import LicenseConversionProvider  # with all that a start takes

        # EC2 says the destination's code again.
        mark = to_secret_mark(source_license_context, destination_license_context)
        super().__init__(LicenseConversionProvider(), resource_name, inputs, opts, dict.fromkeys(_VERIFIED, mark))
        if mark is not None:
            for name in _VERIFIED:
                setattr(self, name, without_mark(getattr(self, name)))


def _refuse_providers(resource_name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None) -> None:
    """Raise where a provider is given, which Pulumi would ignore for a dynamic resource without a word.

    So it would one that the parent hands on, unless the resource says itself who calls.
    """
    given: Any = [opts.provider, opts.providers] if opts else []
    if any(given):
        raise pulumi.RunError(
            f"{resource_name}: opts.provider and opts.providers do not reach this resource. "
            "Pass region, profile or assume_role to it, or set the stack's aws: settings."
        )
    if find_inherited_provider(opts) and inputs.get("profile") is None and inputs.get("assume_role") is None:
        raise pulumi.RunError(f"{resource_name}: {INHERITED_PROVIDER.format('resource')}")


INHERITED_PROVIDER = (
    "the aws.Provider of its parent does not reach this {}. Pass profile or assume_role to it, or assume_role=[] where "
    "the stack's aws: settings are meant."
)


def find_inherited_provider(opts: pulumi.ResourceOptions | pulumi.InvokeOptions | None) -> Any:
    """Return the provider that the parent has for AWS's resources, None where it has none."""
    parent = opts.parent if opts else None
    return parent.get_provider("aws:index:any") if parent is not None else None


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
    """Return `custom_timeouts`, an object or a dict, as a property."""
    timeouts: Any = opts.custom_timeouts if opts else None
    if timeouts is None:
        return None
    given = timeouts if isinstance(timeouts, dict) else vars(timeouts)
    return {name: given[name] for name in ("create", "update") if given.get(name)} or None
