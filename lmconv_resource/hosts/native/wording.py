"""The lifecycle's sentences, in the words of this host.

The lifecycle says them for Python programs that set pulumi-aws's settings: `resource_arn`, `True`, `aws:region`. A
program in another language writes `resourceArn`, `true` and `lmconv:region`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields

from lmconv_resource.aws.access import SETTINGS, AssumedRole
from lmconv_resource.hosts.native import SETTING_PREFIX
from lmconv_resource.hosts.native.names import to_camel
from lmconv_resource.hosts.secret_texts import SecretTexts
from lmconv_resource.lifecycle.fleet import FLEET_PROPERTIES
from lmconv_resource.lifecycle.inputs import CONVERSION_PROPERTIES, LIST_PROPERTIES, TASK_PROPERTIES
from lmconv_resource.models import OUTPUTS
from lmconv_resource.text import to_one_line, to_plain_text

_TABLES = (TASK_PROPERTIES, CONVERSION_PROPERTIES, LIST_PROPERTIES, FLEET_PROPERTIES)
_NESTED = ("usage_operation", "product_codes", "product_code_id", "custom_timeouts", "verified_usage_operation")
_ROLE = tuple(field.name for field in fields(AssumedRole) if "_" in field.name)
_NAMES = sorted(
    {*OUTPUTS, *_NESTED, *_ROLE, *(entry.name for table in _TABLES for entry in table)}, key=len, reverse=True
)

_NAME = re.compile(rf"\b(?P<name>{'|'.join(_NAMES)})\b(?:(?P<sign>=| )(?P<flag>True|False)\b)?")
_SETTING = re.compile(rf"(?<!arn:)\baws:(?=(?:{'|'.join(setting.key for setting in SETTINGS)})\b)")
_EXAMPLE = re.compile(r"such as (?:LicenseContext|ProductCode)Args\((\w+)=(\"[^\"]*\")\)")

_PYTHON_TEXTS = {
    "a LicenseContextArgs": "a license context",
    "a ProductCodeArgs": "a product code",
    "use True or False": "use true or false",
}


def to_native_text(text: str) -> str:
    """Return a sentence with the names of properties and settings as the programs of this host write them."""
    text = _EXAMPLE.sub(r"such as {\1: \2}", text)
    for python, native in _PYTHON_TEXTS.items():
        text = text.replace(python, native)
    return _NAME.sub(_to_native_name, _SETTING.sub(SETTING_PREFIX, text))


def _to_native_name(match: re.Match[str]) -> str:
    name = to_camel(match["name"])
    if match["flag"] is None:
        return name
    return f"{name}{': ' if match['sign'] == '=' else ' '}{match['flag'].lower()}"


class Wording(SecretTexts):
    """All text on its way to the user: worded for this host, with no secret in it. Safe to share between threads.

    What is not ours stays to the letter: a profile that is called as an input is, or what AWS says of one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: frozenset[str] = frozenset()

    def keep(self, texts: Iterable[object]) -> None:
        """Leave each of these as it is from now on, wherever it stands in a sentence."""
        plain = {to_one_line(to_plain_text(text)).rstrip(".") for text in texts if isinstance(text, str)}
        self._kept |= {text for text in plain if to_native_text(text) != text}

    def of(self, text: str) -> str:
        """Return a text as the user may see it."""
        text, kept = self.mask(text), sorted(self._kept, key=len, reverse=True)
        if not kept:
            return to_native_text(text)
        parts = re.split(f"({'|'.join(re.escape(each) for each in kept)})", text)
        return "".join(part if number % 2 else to_native_text(part) for number, part in enumerate(parts))
