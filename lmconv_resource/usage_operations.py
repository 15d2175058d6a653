"""AWS's published usage operations: what EC2 bills an instance as, and which conversions AWS's user guide lists.

Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-info-fields.html for the codes, and
https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-types.html for the conversions. New ones
appear: an unknown code, and a conversion that is not listed, are passed on to AWS as they are, with a warning.
"""

from __future__ import annotations

import difflib
import re
from enum import Enum
from typing import NamedTuple

from lmconv_resource.models import LicenseContext
from lmconv_resource.text import to_shown


class UsageOperation(str, Enum):
    """The usage operations that AWS publishes; `.meaning` is AWS's name of the platform.

    Example:
        ```python
        pulumi.log.info(f"to {UsageOperation.WINDOWS.meaning}, which is {UsageOperation.WINDOWS}")
        ```
    """

    _value_: str
    meaning: str
    """What the code stands for, in AWS's words."""

    def __new__(cls, code: str, meaning: str = "") -> UsageOperation:
        """Return the member of a code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    LINUX = "RunInstances", "Linux/UNIX"
    RHEL_BYOL = "RunInstances:00g0", "Red Hat BYOL Linux"
    RHEL = "RunInstances:0010", "Red Hat Enterprise Linux"
    RHEL_HA = "RunInstances:1010", "Red Hat Enterprise Linux with HA"
    RHEL_HA_SQL_SERVER_STANDARD = "RunInstances:1014", "Red Hat Enterprise Linux with SQL Server Standard and HA"
    RHEL_HA_SQL_SERVER_ENTERPRISE = "RunInstances:1110", "Red Hat Enterprise Linux with SQL Server Enterprise and HA"
    RHEL_SQL_SERVER_STANDARD = "RunInstances:0014", "Red Hat Enterprise Linux with SQL Server Standard"
    RHEL_SQL_SERVER_WEB = "RunInstances:0210", "Red Hat Enterprise Linux with SQL Server Web"
    RHEL_SQL_SERVER_ENTERPRISE = "RunInstances:0110", "Red Hat Enterprise Linux with SQL Server Enterprise"
    SQL_SERVER_ENTERPRISE = "RunInstances:0100", "SQL Server Enterprise"
    SQL_SERVER_STANDARD = "RunInstances:0004", "SQL Server Standard"
    SQL_SERVER_WEB = "RunInstances:0200", "SQL Server Web"
    SUSE = "RunInstances:000g", "SUSE Linux"
    UBUNTU_PRO = "RunInstances:0g00", "Ubuntu Pro"
    WINDOWS = "RunInstances:0002", "Windows"
    WINDOWS_BYOL = "RunInstances:0800", "Windows BYOL"
    WINDOWS_SQL_SERVER_ENTERPRISE = "RunInstances:0102", "Windows with SQL Server Enterprise"
    WINDOWS_SQL_SERVER_STANDARD = "RunInstances:0006", "Windows with SQL Server Standard"
    WINDOWS_SQL_SERVER_WEB = "RunInstances:0202", "Windows with SQL Server Web"

    def __str__(self) -> str:
        """Return the code, in f-strings too, where Pythons differ."""
        return self._value_


# The product codes of RHEL, and of RHEL for SAP, as Red Hat sells it on AWS Marketplace: in North America and globally,
# and in Europe, the Middle East and Africa.
RHEL_FROM_RED_HAT = "6cd5fxzrad0cu2j23p692xytz"
RHEL_FROM_RED_HAT_EMEA = "6t1yup6mik9ng3ge36n33xqhw"
RHEL_FOR_SAP_FROM_RED_HAT = "du6111oq9lwrc996awt04qyql"
RHEL_FOR_SAP_FROM_RED_HAT_EMEA = "952qwcsxkm430zxhpy32i7w8g"

_RHEL_CODES = frozenset({RHEL_FROM_RED_HAT, RHEL_FROM_RED_HAT_EMEA})
_RHEL_FOR_SAP_CODES = frozenset({RHEL_FOR_SAP_FROM_RED_HAT, RHEL_FOR_SAP_FROM_RED_HAT_EMEA})
_RED_HAT_CODES = _RHEL_CODES | _RHEL_FOR_SAP_CODES

SQL_SERVER_INCLUDED = (
    UsageOperation.WINDOWS_SQL_SERVER_WEB,
    UsageOperation.WINDOWS_SQL_SERVER_STANDARD,
    UsageOperation.WINDOWS_SQL_SERVER_ENTERPRISE,
)
"""Windows and SQL Server, both with the license included."""


class EligiblePair(NamedTuple):
    """A conversion that AWS's user guide lists. Of product codes named here, one has to be there."""

    source: UsageOperation
    destination: UsageOperation
    source_codes: frozenset[str] = frozenset()
    destination_codes: frozenset[str] = frozenset()

    def allows(self, source: LicenseContext, destination: LicenseContext) -> bool:
        """Return whether this is the conversion from one context to the other."""
        if (source.usage_operation, destination.usage_operation) != (self.source, self.destination):
            return False
        old, new = _codes_of(source), _codes_of(destination)
        fits_source = old & self.source_codes if self.source_codes else not old & _RED_HAT_CODES
        return bool(fits_source) and bool(new & self.destination_codes if self.destination_codes else not new)


def _codes_of(context: LicenseContext) -> frozenset[str | None]:
    return frozenset(code.product_code_id for code in context.product_codes)


_Op = UsageOperation

ELIGIBLE_PAIRS = (
    EligiblePair(_Op.WINDOWS_BYOL, _Op.WINDOWS),
    EligiblePair(_Op.WINDOWS, _Op.WINDOWS_BYOL),
    *(EligiblePair(_Op.WINDOWS_BYOL, edition) for edition in SQL_SERVER_INCLUDED),
    *(EligiblePair(_Op.WINDOWS, edition) for edition in SQL_SERVER_INCLUDED),
    *(EligiblePair(edition, _Op.WINDOWS) for edition in SQL_SERVER_INCLUDED),
    EligiblePair(_Op.LINUX, _Op.UBUNTU_PRO),
    EligiblePair(_Op.RHEL, _Op.RHEL_BYOL),
    EligiblePair(_Op.RHEL, _Op.RHEL_BYOL, destination_codes=_RHEL_CODES),
    EligiblePair(_Op.RHEL, _Op.RHEL_BYOL, destination_codes=_RHEL_FOR_SAP_CODES),
    EligiblePair(_Op.RHEL_BYOL, _Op.RHEL),
    EligiblePair(_Op.RHEL_BYOL, _Op.RHEL, source_codes=_RHEL_CODES),
    EligiblePair(_Op.LINUX, _Op.RHEL, source_codes=_RHEL_CODES),
)
"""The conversions that the user guide lists."""

_KNOWN = {str(operation): operation for operation in UsageOperation}
_FORM = re.compile(r"RunInstances(:[!-~]+)?")


def describe(code: str) -> str:
    """Return the code with its meaning, where AWS publishes one: `RunInstances:0800 (Windows BYOL)`."""
    return f"{code} ({_KNOWN[code].meaning})" if code in _KNOWN else code


_SPOKEN_OF = ("SQL Server", "Ubuntu LTS", "Red Hat", "RHEL for SAP", "RHEL", "BYOL")
"""What sentences here and elsewhere call licenses, beside AWS's own names."""


def texts_about(text: str) -> frozenset[str]:
    """Return what messages may say of a usage operation, or of a product code that is known here; else nothing.

    That is every published license: what is near to a secret code, or what it converts to, gives it away as well.
    """
    try:
        parse_code(text)
    except ValueError:
        if "runinstances" not in text.lower() and text not in _RED_HAT_CODES:
            return frozenset()
    return frozenset({*_KNOWN, *(each.meaning for each in UsageOperation), *_SPOKEN_OF})


def to_name(code: str) -> str:
    """Return AWS's name of a usage operation; the code where AWS publishes none."""
    return _KNOWN[code].meaning if code in _KNOWN else code


def parse_code(text: str) -> str:
    """Return the usage operation that a person means, by its code, with or without `RunInstances:`, or by its name.

    A code that AWS has not published is returned as it is. What is neither is a ValueError, whose text lists the names
    that are meant, or all.
    """
    words = text.lower().split()
    for code, operation in _KNOWN.items():
        suffix = code.partition(":")[2] or code
        if "".join(words) in (code.lower(), suffix.lower()) or words == operation.meaning.lower().split():
            return code
    if _FORM.fullmatch(text):
        return text
    meant = [each for each in UsageOperation if set(words) <= set(each.meaning.lower().split())] or list(UsageOperation)
    names = ", ".join(f"{each.meaning} ({each.value})" for each in meant)
    raise ValueError(f"{to_shown(text)} is not a usage operation: use one of {names}")


def describe_license(context: LicenseContext) -> str:
    """Return a license as people read it: `Windows BYOL (RunInstances:0800)`, with its product codes."""
    code = context.usage_operation or "no usage operation"
    operation = f"{to_name(code)} ({code})" if code in _KNOWN else code
    codes = ", ".join(each.product_code_id or "" for each in context.product_codes)
    return f"{operation} with the product codes {codes}" if codes else operation


def code_problem(code: str) -> str | None:
    """Return what is wrong with a usage operation, as text that follows its name; None for one that AWS may know."""
    try:
        meant = parse_code(code)
    except ValueError:
        return "use RunInstances, or RunInstances: and a code, such as RunInstances:0002"
    return None if meant == code else f"use {describe(meant)}"


def unknown_code_warning(code: str | None) -> str | None:
    """Return a warning about a usage operation that AWS has not published, with the nearest one that it has."""
    if code is None or code in _KNOWN:
        return None
    # By what follows the colon: what precedes it is the same for all.
    by_suffix = {known.partition(":")[2]: known for known in sorted(_KNOWN)}
    nearest = difflib.get_close_matches(code.partition(":")[2], by_suffix, n=1)
    hint = f" Is {describe(by_suffix[nearest[0]])} meant?" if nearest else ""
    return f"{code} is not a known usage operation; it is passed to AWS as it is.{hint}"


def unlisted_reason(source: LicenseContext, destination: LicenseContext) -> str | None:
    """Return what AWS's user guide has against a conversion, with what it lists from there; None if nothing.

    Nothing is said of a context without a usage operation, or with one or a product code that is not known here.
    """
    if source.usage_operation not in _KNOWN or destination.usage_operation not in _KNOWN:
        return None
    if any(pair.allows(source, destination) for pair in ELIGIBLE_PAIRS):
        return None
    if _codes_of(destination) - _RED_HAT_CODES:  # a product that is not known here: AWS decides
        return None
    start = describe(source.usage_operation or "")
    listed = dict.fromkeys(pair.destination for pair in ELIGIBLE_PAIRS if pair.source == source.usage_operation)
    ways = ", ".join(describe(operation.value) for operation in listed) or "nothing"
    return f"{_reason_against(source, destination)} The user guide lists, from {start}: {ways}."


def _reason_against(source: LicenseContext, destination: LicenseContext) -> str:
    old, new = source.usage_operation, destination.usage_operation
    if old in SQL_SERVER_INCLUDED and new == _Op.WINDOWS_BYOL:
        return (
            "AWS converts Windows with SQL Server license included to Windows BYOL in two steps: uninstall SQL Server "
            f"and convert to {describe(_Op.WINDOWS.value)} first."
        )
    alone = {_Op.SQL_SERVER_ENTERPRISE, _Op.SQL_SERVER_STANDARD, _Op.SQL_SERVER_WEB}
    if _Op.WINDOWS_BYOL in (old, new) and {old, new} & alone:
        return "AWS does not support Windows BYOL with SQL Server license included."
    if (old, new) == (_Op.UBUNTU_PRO, _Op.LINUX):
        return "AWS does not convert Ubuntu Pro back to Ubuntu LTS."
    if _codes_of(source) & _RHEL_FOR_SAP_CODES:
        return "AWS does not convert RHEL for SAP sold by Red Hat back."
    codes = " with these product codes" if source.product_codes or destination.product_codes else ""
    return f"AWS's user guide lists no conversion from {describe(old or '')} to {describe(new or '')}{codes}."
