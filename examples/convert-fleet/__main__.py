import pulumi
from report import to_report
from table import read_table

from lmconv_resource import LicenseContextArgs, LicenseConversion

config = pulumi.Config()

conversions = [
    LicenseConversion(
        row["arn"].rpartition("/")[2],
        resource_arn=row["arn"],
        destination_license_context=LicenseContextArgs(usage_operation=row["to"]),
        stop_and_restart=True,
        force_stop_after=config.require("forceStopAfter"),
        ignore_failure=not config.get_bool("retryFailed"),  # recorded, so that one failure does not hold up the rest
    )
    for row in read_table(config.require("table"))
]

rows = [
    {
        "arn": conversion.resource_arn,
        **{name: getattr(conversion, name) for name in ("status", "status_message", "start_time", "end_time")},
        "operations": [
            conversion.source_license_context.usage_operation,
            conversion.destination_license_context.usage_operation,
            conversion.verified_usage_operation,
        ],
        "duration_seconds": conversion.duration_seconds,
    }
    for conversion in conversions
]
pulumi.export("readme", pulumi.Output.from_input(rows).apply(to_report))
