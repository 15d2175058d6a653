"""Names, properties and sentences on their way between the lifecycle and the wire."""

from __future__ import annotations

import re

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from support.native_host import SIGNATURE, secret, to_struct
from support.native_host import UNKNOWN as UNKNOWN_TEXT

from lmconv_resource import errors
from lmconv_resource.hosts.native.names import to_camel, to_snake
from lmconv_resource.hosts.native.properties import read, write
from lmconv_resource.hosts.native.wording import Wording, to_native_text
from lmconv_resource.lifecycle.inputs import CONVERSION_PROPERTIES, GET_PROPERTIES, LIST_PROPERTIES, TASK_PROPERTIES
from lmconv_resource.lifecycle.operation import UNKNOWN
from lmconv_resource.models import OUTPUTS

TABLES = (TASK_PROPERTIES, CONVERSION_PROPERTIES, GET_PROPERTIES, LIST_PROPERTIES)
NAMES = sorted({*OUTPUTS, *(entry.name for table in TABLES for entry in table), "adopted", "__request"})

plain = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.just(UNKNOWN),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_goes_there_and_back(name: str) -> None:
    """And has no underscore inside on the way."""
    assert to_snake(to_camel(name)) == name
    assert "_" not in to_camel(name).removeprefix("__")


@given(st.dictionaries(st.sampled_from(NAMES), plain), st.sets(st.sampled_from(NAMES)))
def test_properties_go_there_and_back(properties: dict[str, object], secrets: set[str]) -> None:
    """Whatever is in them, and whichever of them are secret."""
    bag = read(write(properties, secrets))
    assert bag.values == properties
    assert bag.secrets == secrets & set(properties)


def test_secrets_inside_a_property_make_it_secret() -> None:
    """Each text of them is known, for messages to leave out."""
    bag = read(to_struct({"a": {"usageOperation": secret("hidden"), "productCodes": [secret(UNKNOWN_TEXT)]}, "b": "c"}))
    assert bag.values == {"a": {"usage_operation": "hidden", "product_codes": [UNKNOWN]}, "b": "c"}
    assert bag.secrets == {"a"}
    assert bag.secret_texts == {"hidden"}


@pytest.mark.parametrize("is_secret", [True, False])
def test_output_values(*, is_secret: bool) -> None:
    """An engine may send what carries dependencies: its value counts, and where there is none it is unknown."""
    signature = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
    bag = read(to_struct({"a": {SIGNATURE: signature, "value": "x", "secret": is_secret}, "b": {SIGNATURE: signature}}))
    assert bag.values == {"a": "x", "b": UNKNOWN}
    assert bag.secrets == ({"a"} if is_secret else set())


def test_nothing_is_secret_that_is_not_named() -> None:
    """And null is null."""
    assert MessageToDict(write({"end_time": None, "region": "x"}, {"status"})) == {"endTime": None, "region": "x"}


@pytest.mark.parametrize(
    ("python", "native"),
    [
        (errors.TaskNotFoundError.remedy, "run `pulumi config set lmconv:region REGION`"),
        (errors.ConversionFailedError.remedy, "set ignoreFailure: true to record"),
        ("follow_newest True needs a resource_arn", "followNewest true needs a resourceArn"),
        ("3 is not a boolean: use True or False", "3 is not a boolean: use true or false"),
        (
            "arn:aws:ec2:eu-west-1:1:instance/i-0 and aws:profile",
            "arn:aws:ec2:eu-west-1:1:instance/i-0 and lmconv:prof",
        ),
        (
            'each entry a ProductCodeArgs, such as ProductCodeArgs(product_code_id="a")',
            'each entry a product code, such as {productCodeId: "a"}',
        ),
        ("my_resource_arn_x stays", "my_resource_arn_x stays"),
    ],
)
def test_sentences(python: str, native: str) -> None:
    """Names of inputs and settings are as programs of this host write them."""
    assert native in to_native_text(python)


def test_no_rule_says_a_python_name() -> None:
    """Each rule's words for a value that is of no use, and each description."""
    for table in TABLES:
        for entry in table:
            for value in (None, 3, "x", {}, {"usage_operation": 3}, {"product_codes": 3}, [3]):
                text = to_native_text(f"{entry.name} {entry.rule(value) or ''} {entry.description}")
                plain = re.sub(r"'[^']*'|\{[^}]*\}", "", text)
                assert not re.search(r"[a-z]_[a-z]|\bTrue\b|\bFalse\b|Args\b|(?<!arn:)aws:", plain), text


def test_what_is_not_ours_stays_to_the_letter() -> None:
    """A profile that is called as an input is, and AWS's own words, beside names of ours in the same sentence."""
    wording = Wording()
    wording.keep(["follow_newest", "No resource_arn\nin aws:region.", "of mine", 3])
    text = "set ignore_failure: refused (X: No resource_arn in aws:region). Run `aws sso login --profile follow_newest`"
    assert wording.of(text) == text.replace("ignore_failure", "ignoreFailure")
