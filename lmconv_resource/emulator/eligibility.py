"""The license type conversions that AWS's user guide lists.

https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-types.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .task import LicenseContext

_WINDOWS_BYOL, _WINDOWS = "RunInstances:0800", "RunInstances:0002"
_SQL_SERVER = ("RunInstances:0202", "RunInstances:0006", "RunInstances:0102")
"""Windows and SQL Server, both license included: Web, Standard, Enterprise."""
_LINUX, _UBUNTU_PRO = "RunInstances", "RunInstances:0g00"
_RHEL, _RHEL_BYOL = "RunInstances:0010", "RunInstances:00g0"

_RHEL_CODES = {"6cd5fxzrad0cu2j23p692xytz", "6t1yup6mik9ng3ge36n33xqhw"}
"""RHEL as Red Hat sells it on the Marketplace: North America and global, EMEA."""
_RHEL_FOR_SAP_CODES = {"du6111oq9lwrc996awt04qyql", "952qwcsxkm430zxhpy32i7w8g"}
"""Likewise RHEL for SAP."""

_PAIRS = {
    (_WINDOWS_BYOL, _WINDOWS),
    (_WINDOWS, _WINDOWS_BYOL),
    *((_WINDOWS_BYOL, edition) for edition in _SQL_SERVER),
    *((_WINDOWS, edition) for edition in _SQL_SERVER),
    *((edition, _WINDOWS) for edition in _SQL_SERVER),
    (_LINUX, _UBUNTU_PRO),
}
"""From and to, where product codes play no part."""


def is_eligible(source: LicenseContext, destination: LicenseContext) -> bool:
    """Return whether the guide lists this conversion. Of a context without a usage operation it cannot be said."""
    pair = (source.usage_operation, destination.usage_operation)
    old = {code.product_code_id for code in source.product_codes}
    new = {code.product_code_id for code in destination.product_codes}
    if pair == (_RHEL, _RHEL_BYOL):
        return new <= _RHEL_CODES | _RHEL_FOR_SAP_CODES  # with none, to a subscription bought from Red Hat
    if pair == (_RHEL_BYOL, _RHEL):
        return old <= _RHEL_CODES  # of RHEL for SAP there is no way back
    if pair == (_LINUX, _RHEL):
        return bool(old & _RHEL_CODES)
    return None in pair or pair in _PAIRS
