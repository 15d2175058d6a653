"""Where a resource's AWS is: the region that it means, and what contradicts it."""

from __future__ import annotations

from lmconv_resource.aws.roles import parse_roles
from lmconv_resource.aws.settings import Settings
from lmconv_resource.errors import SettingsError
from lmconv_resource.lifecycle.inputs import find_unknown
from lmconv_resource.lifecycle.operation import UNKNOWN, CheckFailure, Operation, Properties, Way
from lmconv_resource.models import InstanceArn


def find_arn(properties: Properties) -> InstanceArn | None:
    """Return the ARN of the instance that inputs name, None where they name none or it is not known yet."""
    value = properties.get("resource_arn")
    return InstanceArn.parse(value) if isinstance(value, str) else None


def default_region(op: Operation, olds: Properties | None, news: Properties) -> str | None:
    """Return the region of a resource that names none.

    The ARN's; the stack's; the recorded one, so that nobody's shell replaces a resource; then what the environment and
    the shared config say.

    Raises:
        SettingsError: the shared config can't be read.
    """
    arn = find_arn(news)
    if arn is not None:
        return arn.region
    configured = op.host.configured_region()
    if configured:
        return configured
    recorded = (olds or {}).get("region")
    if isinstance(recorded, str) and recorded:
        return recorded
    profile = news.get("profile")
    return op.host.resolve_region(None, profile if isinstance(profile, str) else None)


def validate_place(op: Operation, olds: Properties | None, checked: Properties) -> list[CheckFailure]:
    """Return what in the inputs and the stack's settings can't be honoured together."""
    region, profile = checked.get("region"), checked.get("profile")
    if not isinstance(region, str):  # a preview does not know it yet
        return []
    arn = find_arn(checked)
    if arn is not None and arn.region != region:
        reason = f"region {region} is not that of the instance, {arn.region}: leave region out, or correct one of them"
        return [CheckFailure("region", reason)]
    if profile is UNKNOWN:
        return []
    roles = () if find_unknown(checked, ["assume_role"]) else parse_roles(checked.get("assume_role"))
    try:
        op.host.check_setting_names()
        settings = op.host.to_settings(Way(region, profile if isinstance(profile, str) else None, roles))
        is_new = not olds or any(olds.get(name) != checked.get(name) for name in ("region", "resource_arn"))
        return _validate_region(op, settings, arn) if is_new else []  # this has to load AWS's list of regions
    except SettingsError as error:
        return [CheckFailure("region" if "region" in error.reason else "", str(error))]


def _validate_region(op: Operation, settings: Settings, arn: InstanceArn | None) -> list[CheckFailure]:
    regions = op.host.regions()
    regions.check(settings)
    if "license-manager" in settings.endpoint_urls:
        return []
    partition = regions.find_partition(settings.region)
    if arn is not None and partition is not None and arn.partition != partition:
        reason = (
            f"resource_arn has the partition {arn.partition}, and its region {arn.region} is one of {partition}: "
            "give the ARN as AWS shows it"
        )
        return [CheckFailure("resource_arn", reason)]
    if not regions.is_listed(settings.region):
        op.log(f"{settings.region} is no region that this version of botocore knows: check it.", "WARNING")
    return []
