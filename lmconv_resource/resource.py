"""What programs declare: the resource `LicenseConversionTask`."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi.dynamic

from lmconv_resource.inputs import TIMEOUTS, URN
from lmconv_resource.models import OUTPUTS
from lmconv_resource.outputs import LicenseContext
from lmconv_resource.provider import LicenseConversionTaskProvider


class LicenseConversionTask(pulumi.dynamic.Resource, module="lmconv", name="LicenseConversionTask"):
    """Tracks a license conversion task of AWS License Manager, and waits for its end if asked to.

    Declaring one starts nothing in AWS and destroying one undoes nothing there: AWS has no call that cancels or undoes
    a conversion. Its Pulumi id is the task's id.

    Source: https://docs.aws.amazon.com/license-manager/latest/APIReference/API_GetLicenseConversionTask.html
    """

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
    """When the conversion ended: RFC 3339, UTC; None while it runs."""

    is_complete: pulumi.Output[bool]
    """True once the conversion has ended, in success or in failure."""

    duration_seconds: pulumi.Output[float | None]
    """Seconds from start to end by AWS's clock; None until it has ended."""

    def __init__(
        self,
        resource_name: str,
        *,
        license_conversion_task_id: pulumi.Input[str],
        wait_for_completion: pulumi.Input[bool] | None = None,
        ignore_failure: pulumi.Input[bool] | None = None,
        region: pulumi.Input[str] | None = None,
        poll_interval_seconds: pulumi.Input[float] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare that the stack tracks a task.

        Args:
            resource_name: the resource's name in the stack.
            license_conversion_task_id: the task's id, `lct-` and letters and digits, at most 50 characters in all.
                Another id replaces the resource.
            wait_for_completion: True blocks the resource, and all that depends on it, until the task has ended; a task
                that ended FAILED is then an error. Default False: record what AWS says now.
            ignore_failure: True records a FAILED task, with a warning, where waiting for it would be an error. Default
                False.
            region: the task's AWS region. Default: `aws:region` of the stack, AWS_REGION, the shared AWS config.
            Another
                region replaces the resource.
            poll_interval_seconds: 1 to 300, a constant pause between two looks while waiting. Default: 2.6 s at first,
                growing to 30 s.
            opts: Pulumi's options. `custom_timeouts` (create, update) says how long to wait; default 12 hours.
        """
        timeouts = opts.custom_timeouts if opts else None
        props: dict[str, Any] = dict.fromkeys(OUTPUTS)
        props.update(
            license_conversion_task_id=license_conversion_task_id,
            wait_for_completion=wait_for_completion,
            ignore_failure=ignore_failure,
            region=region,
            poll_interval_seconds=poll_interval_seconds,
        )
        props[URN] = pulumi.create_urn(
            resource_name, f"pulumi-python:{self._resource_type_name}", parent=opts.parent if opts else None
        )
        props[TIMEOUTS] = _to_timeouts(timeouts)
        super().__init__(LicenseConversionTaskProvider(), resource_name, props, opts)

    @classmethod
    def get(
        cls,
        resource_name: str,
        id: pulumi.Input[str],
        *,
        region: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> LicenseConversionTask:
        """Read a task without managing it: looked up at every `up`, never waited for.

        Args:
            resource_name: the resource's name in the stack.
            id: the task's id, `lct-…`.
            region: as for the constructor.
            opts: Pulumi's options.
        """
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id))
        return cls(resource_name, license_conversion_task_id=id, region=region, opts=opts)


def _to_timeouts(timeouts: Any) -> dict[str, str] | None:
    """Give `custom_timeouts`, an object or a dict, as a property."""
    if timeouts is None:
        return None
    given = timeouts if isinstance(timeouts, dict) else vars(timeouts)
    return {name: given[name] for name in ("create", "update") if given.get(name)} or None
