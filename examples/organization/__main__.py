from typing import Any

import pulumi

from lmconv_resource import AssumeRoleArgs, LicenseContextArgs, LicenseConversion

config = pulumi.Config()
role_name, external_id = config.require("roleName"), config.get_secret("externalId")


def convert(row: dict[str, Any]) -> LicenseConversion:
    """Declare the conversion of one row, by the role of its account."""
    account = str(row["account"]).zfill(12)  # YAML takes an account without quotes for a number
    return LicenseConversion(
        f"{account}-{row['region']}-{row['instance']}",
        resource_arn=f"arn:aws:ec2:{row['region']}:{account}:instance/{row['instance']}",
        source_license_context=LicenseContextArgs(usage_operation=row["from"]),
        destination_license_context=LicenseContextArgs(usage_operation=row["to"]),
        assume_role=AssumeRoleArgs(role_arn=f"arn:aws:iam::{account}:role/{role_name}", external_id=external_id),
        ignore_failure=True,  # recorded, so that one failure does not hold up the rest
    )


conversions = [convert(row) for row in config.require_object("instances")]
pulumi.export(
    "conversions",
    [
        {
            "instance": conversion.resource_arn,
            "status": conversion.status,
            "message": conversion.status_message,
            "billed_as": conversion.verified_usage_operation,
        }
        for conversion in conversions
    ],
)
