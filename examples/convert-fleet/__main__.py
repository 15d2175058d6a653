import pulumi
from pulumi_aws import ec2transitgateway
from report import to_report

from lmconv_resource import LicenseContextArgs, LicenseConversion

config = pulumi.Config()
at_once = config.require_int("atOnce")

conversions: list[LicenseConversion] = []
for row in config.require_object("instances"):
    instance_id = row["arn"].rpartition("/")[2]
    # As many lanes as conversions may run at a time: each conversion waits for the one before it in its lane.
    before = conversions[-at_once] if len(conversions) >= at_once else None
    conversion = LicenseConversion(
        instance_id,
        resource_arn=row["arn"],
        source_license_context=LicenseContextArgs(usage_operation=row["from"]),
        destination_license_context=LicenseContextArgs(usage_operation=row["to"]),
        ignore_failure=not config.get_bool("retryFailed"),  # recorded, so that one failure does not hold up the rest
        opts=pulumi.ResourceOptions(depends_on=before),
    )
    conversions.append(conversion)
    if config.get_bool("startAfterwards"):
        opts = pulumi.ResourceOptions(depends_on=conversion)
        ec2transitgateway.InstanceState(instance_id, instance_id=instance_id, state="running", opts=opts)

rows = [
    {
        "instance": row["arn"].rpartition("/")[2],
        "lane": number % at_once + 1,
        **{name: getattr(conversion, name) for name in ("status", "status_message", "start_time", "end_time")},
        "operations": [row["from"], row["to"], conversion.verified_usage_operation],
        "duration_seconds": conversion.duration_seconds,
    }
    for number, (row, conversion) in enumerate(zip(config.require_object("instances"), conversions, strict=True))
]
pulumi.export("readme", pulumi.Output.from_input(rows).apply(to_report))
