"""The lifecycle's sentences, in the words of this host.

The lifecycle says them for Python programs that set pulumi-aws's settings: `resource_arn`, `True`, `aws:region`. A
program in another language writes `resourceArn`, `true` and `lmconv:region`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import fields

from lmconv_resource.aws.roles import AssumedRole
from lmconv_resource.aws.settings_table import SETTINGS
from lmconv_resource.hosts.engine import Engine
from lmconv_resource.hosts.native import SETTING_PREFIX
from lmconv_resource.hosts.native.names import to_camel
from lmconv_resource.lifecycle.inputs import CONVERSION_PROPERTIES, LIST_PROPERTIES, TASK_PROPERTIES
from lmconv_resource.models import OUTPUTS

_TABLES = (TASK_PROPERTIES, CONVERSION_PROPERTIES, LIST_PROPERTIES)
_NESTED = ("usage_operation", "product_codes", "product_code_id", "custom_timeouts", "verified_usage_operation")
_ROLE = tuple(field.name for field in fields(AssumedRole) if "_" in field.name)
_NAMES = sorted(
    {*OUTPUTS, *_NESTED, *_ROLE, *(entry.name for table in _TABLES for entry in table)}, key=len, reverse=True
)

_NAME = re.compile(rf"\b(?P<name>{'|'.join(_NAMES)})\b(?:(?P<sign>=| )(?P<flag>True|False)\b)?")
_SETTING = re.compile(rf"(?<!arn:)\baws:(?=(?:{'|'.join(setting.key for setting in SETTINGS)})\b)")
_CONTEXT_EXAMPLE = re.compile(r"a LicenseContextArgs, such as LicenseContextArgs\(usage_operation=(\"[^\"]*\")\)")

_PYTHON_TEXTS = {
    "a LicenseContextArgs": "a license context",
    "a list of ProductCodeArgs": "a list of product codes",
    "give True or False": "give true or false",
}

_SHORTEST_SECRET = 4
"""A shorter text is part of too many words to be hidden in a sentence."""


def to_native_text(text: str) -> str:
    """Return a sentence with the names of properties and settings as the programs of this host write them."""
    text = _CONTEXT_EXAMPLE.sub(r"a license context, such as {usage_operation: \1}", text)
    for python, native in _PYTHON_TEXTS.items():
        text = text.replace(python, native)
    return _NAME.sub(_to_native_name, _SETTING.sub(SETTING_PREFIX, text))


def _to_native_name(match: re.Match[str]) -> str:
    name = to_camel(match["name"])
    if match["flag"] is None:
        return name
    return f"{name}{': ' if match['sign'] == '=' else ' '}{match['flag'].lower()}"


class Wording:
    """All text on its way to the user: worded for this host, with no secret in it. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: tuple[str, ...] = ()

    def hide(self, secrets: Iterable[str]) -> None:
        """Show none of these texts from now on."""
        with self._lock:
            found = {*self._secrets, *(text for text in secrets if len(text) >= _SHORTEST_SECRET)}
            self._secrets = tuple(sorted(found, key=len, reverse=True))

    def of(self, text: str) -> str:
        """Return a text as the user may see it."""
        return to_native_text(self.mask(text))

    def mask(self, text: str) -> str:
        """Return a text without secrets, in its own words otherwise."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return text


class WordedEngine(Engine):
    """Pulumi's engine, which gets every line in this host's words."""

    def __init__(self, address: str, wording: Wording) -> None:
        super().__init__(address)
        self._wording = wording

    def log_status(self, urn: str | None, message: str) -> None:
        """Show a line on the resource's row until the next one."""
        super().log_status(urn, self._wording.of(message))

    def log(self, severity: str, urn: str | None, message: str) -> None:
        """Leave a line in the diagnostics under the resource."""
        super().log(severity, urn, self._wording.of(message))
