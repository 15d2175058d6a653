"""AWS's regions and their partitions, as this version of botocore lists them."""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import Any

from botocore.loaders import create_loader

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.wording import key, on_settings


class Regions:
    """AWS's regions, loaded when they are first asked for. No profile and no file of the user's is read for them."""

    @cached_property
    def _partitions(self) -> list[dict[str, Any]]:
        loader = create_loader(os.environ.get("AWS_DATA_PATH"))
        partitions: list[dict[str, Any]] = loader.load_data("partitions")["partitions"]
        return partitions

    def is_listed(self, region: str) -> bool:
        """Return whether this version of botocore lists the region; a newer region may be missing there."""
        return any(region in partition["regions"] for partition in self._partitions)

    def partition_of(self, region: str) -> str | None:
        """Return the partition of a region (`aws`, `aws-cn`), also of a new one that fits its pattern; else None."""
        for partition in self._partitions:
            if region in partition["regions"] or re.match(partition["regionRegex"], region):
                return str(partition["id"])
        return None

    def check(self, settings: Settings) -> None:
        """Raise a SettingsError when AWS has no such region; an endpoint of one's own may have regions of its own."""
        endpoints = settings.endpoint_urls
        if "license-manager" not in endpoints and self.partition_of(settings.region) is None:
            raise _no_region(settings.region, f"`region`, {key('region')} (`pulumi config`) and AWS_REGION")
        if settings.sts_region and "sts" not in endpoints and self.partition_of(settings.sts_region) is None:
            raise _no_region(settings.sts_region, f"{key('stsRegion')} (`pulumi config`)")


def _no_region(region: str, places: str) -> SettingsError:
    return SettingsError(Subject(CONNECT_ACTION), f"{region} is not an AWS region", on_settings(f"Check {places}"))
