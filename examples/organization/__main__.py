from typing import Any

import pulumi

from lmconv_resource import AssumeRoleArgs, ConversionFleet, FleetInstanceArgs, LicenseContextArgs

config = pulumi.Config()
role_name, external_id = config.require("roleName"), config.get_secret("externalId")


def to_instance(row: dict[str, Any]) -> FleetInstanceArgs:
    """Return one row, converted by the role of its account."""
    account = str(row["account"]).zfill(12)  # YAML takes an account without quotes for a number
    return FleetInstanceArgs(
        name=f"{account}-{row['region']}-{row['instance']}",
        resource_arn=f"arn:aws:ec2:{row['region']}:{account}:instance/{row['instance']}",
        source_license_context=LicenseContextArgs(usage_operation=row["from"]),
        destination_license_context=LicenseContextArgs(usage_operation=row["to"]),
        assume_role=AssumeRoleArgs(role_arn=f"arn:aws:iam::{account}:role/{role_name}", external_id=external_id),
    )


fleet = ConversionFleet("organization", instances=[to_instance(row) for row in config.require_object("instances")])
pulumi.export("readme", fleet.report)
pulumi.export("succeeded", fleet.succeeded)
