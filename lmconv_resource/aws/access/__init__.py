"""Who calls AWS, and where: settings, roles, sessions, accounts and regions. What others may use of it is named here.

It knows neither License Manager nor Pulumi's SDK: any dynamic provider could take it along. The first names need no
botocore, which the last four bring with them.
"""

from typing import TYPE_CHECKING, Any

from lmconv_resource.aws.access.kinds import AssumedRole, is_region, parse_roles
from lmconv_resource.aws.access.settings import (
    SETTINGS,
    ConfigGet,
    Settings,
    environment_key,
    load,
    resolve_region,
    unknown_setting_names,
)

if TYPE_CHECKING:
    from lmconv_resource.aws.access.botocore_session import Regions, SharedClients
    from lmconv_resource.aws.access.call_log import attempt
    from lmconv_resource.aws.access.session import AccessSession

__all__ = [
    "SETTINGS",
    "AccessSession",
    "AssumedRole",
    "ConfigGet",
    "Regions",
    "Settings",
    "SharedClients",
    "attempt",
    "environment_key",
    "is_region",
    "parse_roles",
    "resolve_region",
    "unknown_setting_names",
]

_WITH_BOTOCORE = {
    "AccessSession": "session",
    "Regions": "botocore_session",
    "SharedClients": "botocore_session",
    "attempt": "call_log",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_BOTOCORE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(load(_WITH_BOTOCORE[name]), name)
