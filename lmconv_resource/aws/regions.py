"""AWS's regions and their partitions, as this version of botocore lists them."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

import botocore.session

from lmconv_resource.aws.settings import Settings
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject


class Regions:
    """AWS's regions, loaded when they are first asked for."""

    @cached_property
    def _partitions(self) -> list[dict[str, Any]]:
        loader = botocore.session.Session().get_component("data_loader")
        partitions: list[dict[str, Any]] = loader.load_data("partitions")["partitions"]
        return partitions

    def is_listed(self, region: str) -> bool:
        """Return whether this version of botocore lists the region; a newer region may be missing there."""
        return any(region in partition["regions"] for partition in self._partitions)

    def find_partition(self, region: str) -> str | None:
        """Return the partition of a region (`aws`, `aws-cn`), also of a new one that fits its pattern; else None."""
        for partition in self._partitions:
            if region in partition["regions"] or re.match(partition["regionRegex"], region):
                return str(partition["id"])
        return None

    def check(self, settings: Settings) -> None:
        """Raise a SettingsError when AWS has no such region; an endpoint of one's own may have regions of its own."""
        regions = [settings.region]
        if settings.sts_region and "sts" not in settings.endpoint_urls:
            regions.append(settings.sts_region)
        if "license-manager" in settings.endpoint_urls:
            regions.remove(settings.region)
        for region in regions:
            if self.find_partition(region) is None:
                raise SettingsError(
                    Subject(CONNECT_ACTION),
                    f"{region} is no region of AWS",
                    f"Check `region`, {settings.prefix}region and {settings.prefix}stsRegion (`pulumi config`), and "
                    "AWS_REGION",
                )
