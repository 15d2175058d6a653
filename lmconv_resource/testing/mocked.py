"""Whether moto's mock stands between this process and AWS, where a plugin's process would still ask AWS."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from .properties import PropertyMap, to_plain

_ENDPOINTS = ("AWS_ENDPOINT_URL_LICENSE_MANAGER", "AWS_ENDPOINT_URL")


def refuse_inside_mock(config: PropertyMap) -> None:
    """Do nothing outside moto's `mock_aws`, and where an endpoint other than AWS's is set.

    Raises:
        RuntimeError: The plugin would call AWS from inside a test that mocks it.
    """
    if _is_mocked() and not any(map(os.environ.get, _ENDPOINTS)) and not _has_endpoint(config):
        raise RuntimeError(
            "moto's mock_aws is active, but it mocks AWS in this process only: a dynamic resource's provider runs in "
            "a process of its own and would call AWS. Use lmconv_resource.emulator.serve() in place of mock_aws, and "
            f"set {_ENDPOINTS[0]} to its endpoint; the pytest fixture license_manager does both."
        )


def _is_mocked() -> bool:
    # Who has not imported moto is not inside its mock.
    stubber = sys.modules.get("moto.core.botocore_stubber")
    models = sys.modules.get("moto.core.models")
    return bool(stubber and models and models.botocore_stubber.enabled)


def _has_endpoint(config: PropertyMap) -> bool:
    """Return whether pulumi-aws's setting `aws:endpoints` has an endpoint for License Manager."""
    endpoints: Any = to_plain(config.get("aws:endpoints")) or "[]"
    try:
        entries = json.loads(endpoints)
    except ValueError:
        return False  # the provider says what is wrong with it
    entries = entries if isinstance(entries, list) else [entries]
    return any(isinstance(each, dict) and each.get("licensemanager") for each in entries)
