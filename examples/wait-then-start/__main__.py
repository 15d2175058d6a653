import pulumi
from pulumi_aws import ec2transitgateway, ssm

from lmconv_resource import LicenseConversionTask

config = pulumi.Config()

task = LicenseConversionTask(
    "conversion",
    license_conversion_task_id=config.require("licenseConversionTaskId"),
    wait_for_completion=True,  # a conversion that fails ends the update here, and nothing below is done
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="3h")),
)

# An instance is converted while it is stopped. It is started after the task, as it needs an output of it.
instance = ec2transitgateway.InstanceState(
    "instance",
    instance_id=task.resource_arn.apply(lambda arn: str(arn).rpartition("/")[2]),
    state="running",
)

outcome = ssm.Parameter(
    "outcome",
    name=config.require("parameterName"),
    type=ssm.ParameterType.STRING,
    value=pulumi.Output.json_dumps(
        {
            "instance": instance.instance_id,
            "usage_operation": task.destination_license_context.usage_operation,
            "status": task.status,
            "ended": task.end_time,
        }
    ),
)

pulumi.export("instance_state", instance.state)
pulumi.export("outcome_parameter", outcome.name)
