import pulumi
from pulumi_aws import ssm

from lmconv_resource import LicenseContextArgs, LicenseConversion

config = pulumi.Config()

# Stopped if it runs, converted, and started again if it ran, in success and in failure. A "stopped" and a "running"
# InstanceState around the conversion would not do: at the next `pulumi up --refresh` they stop the instance again.
conversion = LicenseConversion(
    "conversion",
    resource_arn=config.require("resourceArn"),
    destination_license_context=LicenseContextArgs(usage_operation=config.require("usageOperation")),
    stop_and_restart=True,  # a conversion that fails ends the update here, and nothing below is done
    force_stop_after="8m",
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="3h")),
)

outcome = ssm.Parameter(
    "outcome",
    name=config.require("parameterName"),
    type=ssm.ParameterType.STRING,
    value=pulumi.Output.json_dumps(
        {
            "instance": conversion.resource_arn,
            "usage_operation": conversion.verified_usage_operation,
            "status": conversion.status,
            "ended": conversion.end_time,
        }
    ),
)

pulumi.export("usage_operation", conversion.verified_usage_operation)
pulumi.export("outcome_parameter", outcome.name)
