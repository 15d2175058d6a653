"""Where a resource's AWS is and who calls it: the region that it means, and what contradicts it or is refused."""

from __future__ import annotations

from lmconv_resource.aws.access import Settings, parse_roles
from lmconv_resource.errors import LicenseConversionError, SettingsError, TransientError
from lmconv_resource.lifecycle.inputs import find_unknown
from lmconv_resource.lifecycle.operation import UNKNOWN, CheckFailure, Operation, Properties, Unknown, Way
from lmconv_resource.models import InstanceArn

_WAY = ("region", "resource_arn", "license_conversion_task_id", "profile", "assume_role")
"""Inputs that say what AWS is asked of, and by whom."""

_ANY_REGION = "us-east-1"
"""Stands for one that a preview does not know yet, where only the other settings are looked at."""


def find_arn(properties: Properties) -> InstanceArn | None:
    """Return the ARN of the instance that inputs name, None where they name none or it is not known yet."""
    value = properties.get("resource_arn")
    return InstanceArn.parse(value) if isinstance(value, str) else None


def default_region(op: Operation, olds: Properties | None, news: Properties) -> str | Unknown | None:
    """Return the region of a resource that names none.

    It is the ARN's, which a preview may not know yet, else what `settings.find_region` finds.

    Raises:
        SettingsError: the shared config can't be read.
    """
    if news.get("resource_arn") is UNKNOWN:
        return UNKNOWN
    arn = find_arn(news)
    recorded, profile = (olds or {}).get("region"), news.get("profile")
    return op.host.resolve_region(
        arn.region if arn else None,
        profile if isinstance(profile, str) else None,
        recorded if isinstance(recorded, str) else None,
    )


def validate_place(op: Operation, olds: Properties | None, checked: Properties) -> list[CheckFailure]:
    """Return what in the inputs and the stack's settings can't be honoured together. Nothing is sent."""
    region, arn = checked.get("region"), find_arn(checked)
    if arn is not None and isinstance(region, str) and arn.region != region:
        reason = f"region {region} is not that of the instance, {arn.region}: leave region out, or correct one of them"
        return [CheckFailure("region", reason)]
    try:
        op.host.check_setting_names()
        is_known = isinstance(region, str)
        settings = op.host.to_settings(_to_way(str(region) if is_known else _ANY_REGION, checked))
        # This has to load AWS's list of regions.
        return _validate_region(op, settings, arn) if is_known and _is_new_way(olds, checked) else []
    except SettingsError as error:
        return [CheckFailure("", str(error))]


def validate_caller(op: Operation, olds: Properties | None, checked: Properties) -> list[CheckFailure]:
    """Return why the credentials can't be used for what is not recorded yet, or is reached another way from now on.

    Sends nothing, except to STS where the stack allows or forbids accounts. What may pass is left to the update.
    """
    region = checked.get("region")
    if not isinstance(region, str) or find_unknown(checked, ["profile", "assume_role"]):
        return []
    if not _is_new_way(olds, checked):
        return []
    try:
        op.connect(_to_way(region, checked)).connection.session.find_credentials()
    except TransientError:
        return []
    except LicenseConversionError as error:
        return [CheckFailure("", str(error))]
    return []


def _to_way(region: str, checked: Properties) -> Way:
    """Return the way that checked inputs say. A role that a preview does not know yet is left out."""
    profile = checked.get("profile")
    roles = () if find_unknown(checked, ["assume_role"]) else parse_roles(checked.get("assume_role"))
    return Way(region, profile if isinstance(profile, str) else None, roles)


def _is_new_way(olds: Properties | None, checked: Properties) -> bool:
    """Return whether AWS is about to be asked of something that is not recorded, or in another way than before."""
    return not olds or any(olds.get(name) != checked.get(name) for name in _WAY)


def find_wrong_partition(arn: InstanceArn, partition: str | None) -> str | None:
    """Return what is wrong with the partition of an ARN whose region is in another, or in one that nobody knows."""
    if partition in (None, arn.partition):
        return None
    return f"has the partition {arn.partition}, and its region {arn.region} is one of {partition}"


def _validate_region(op: Operation, settings: Settings, arn: InstanceArn | None) -> list[CheckFailure]:
    regions = op.host.regions()
    partition = regions.find_partition(settings.region)
    reason = None if arn is None else find_wrong_partition(arn, partition)
    if reason:
        return [CheckFailure("resource_arn", f"resource_arn {reason}: use the ARN as AWS shows it")]
    is_own = "license-manager" in settings.endpoint_urls
    if partition is not None and not is_own and not regions.is_listed(settings.region):
        op.log(f"{settings.region} is not in this botocore's list of regions: check it.", "WARNING")
    return []
