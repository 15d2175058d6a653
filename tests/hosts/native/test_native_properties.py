"""Names, properties and sentences on their way between the lifecycle and the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.native_host import UNKNOWN as UNKNOWN_TEXT
from support.native_host import secret, to_struct

from lmconv_resource.hosts.native.wire import Spec, read, write
from lmconv_resource.lifecycle.inputs import CONVERSION_PROPERTIES, GET_PROPERTIES, LIST_PROPERTIES, TASK_PROPERTIES
from lmconv_resource.lifecycle.operation import UNKNOWN
from lmconv_resource.models import OUTPUTS
from lmconv_resource.text import to_camel, to_snake

INPUTS = (*TASK_PROPERTIES, *CONVERSION_PROPERTIES, *GET_PROPERTIES, *LIST_PROPERTIES)
NAMES = sorted({*OUTPUTS, *(entry.name for entry in INPUTS), "adopted", "__request"})

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
    bag = read(write(properties, secrets), {})
    assert bag.values == properties
    assert bag.secrets == secrets & set(properties)


def test_names_that_are_the_users_own_stay_as_they_are() -> None:
    """At any depth, such as those of the tags of a row's role; the others are the lifecycle's."""
    spec: Spec = {"rows": {"additionalProperties": {"properties": {"someTags": {"additionalProperties": {}}}}}}
    sent = to_struct({"rows": {"web_1": {"someTags": {"cost_center": "a", "costCenter": "b"}}}})
    values = read(sent, spec).values
    assert values == {"rows": {"web_1": {"some_tags": {"cost_center": "a", "costCenter": "b"}}}}
    assert write(values) == sent


def test_secrets_inside_a_property_make_it_secret() -> None:
    """Each text of them is known, for messages to leave out."""
    context = {"usageOperation": secret("hidden"), "productCodes": [secret(UNKNOWN_TEXT)]}
    bag = read(to_struct({"a": context, "b": "c"}), {})
    assert bag.values == {"a": {"usage_operation": "hidden", "product_codes": [UNKNOWN]}, "b": "c"}
    assert bag.secrets == {"a"}
    assert bag.secret_texts == {"hidden"}
