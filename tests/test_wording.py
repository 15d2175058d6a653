"""Names in sentences: how the programs of each host write them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from lmconv_resource import errors
from lmconv_resource.lifecycle.fleet import FLEET_PROPERTIES
from lmconv_resource.lifecycle.inputs import (
    CONVERSION_PROPERTIES,
    GET_PROPERTIES,
    LIST_PROPERTIES,
    MEMBERS,
    TASK_PROPERTIES,
)
from lmconv_resource.lifecycle.job import RULES
from lmconv_resource.models import OUTPUTS
from lmconv_resource.text import Wording, example, fill, using, written

TABLES = (TASK_PROPERTIES, CONVERSION_PROPERTIES, GET_PROPERTIES, LIST_PROPERTIES, FLEET_PROPERTIES)
NAMES = {entry.name for table in TABLES for entry in table}
VALUES: tuple[object, ...] = (
    *(None, 3, "x", {}, [3], {"usage_operation": 3}, {"product_codes": 3}),
    *({"product_codes": [{}]}, {"product_codes": [{"product_code_id": "a", "product_code_type": 3}]}),
)
"""Of no use to any input, or only to one of another type."""

FILLED = {
    *("id", "state", "state_text", "held", "matching", "other", "other_destination", "owner", "age", "untag"),
    *("fault", "doubt", "done", "ended", "start_fault", "state_reason"),
}
"""What the decisions fill into their texts."""

NATIVE = Wording(is_python=False, prefix="lmconv:")
PROVIDER = NATIVE._replace(provider="mine")


@pytest.mark.parametrize(
    ("text", "python", "native", "provider"),
    [
        ("{ignore_failure=True}", "ignore_failure=True", "ignoreFailure: true", "ignoreFailure: true"),
        ("{follow_newest} {False}", "follow_newest False", "followNewest false", "followNewest false"),
        ("{__request}, {id}", "__request, i-1", "__request, i-1", "__request, i-1"),
        ("{aws:}profile", "aws:profile", "lmconv:profile", "profile"),
        (
            "{run region REGION}",
            "run `pulumi config set aws:region REGION`",
            "run `pulumi config set lmconv:region REGION`",
            "set region on the provider `mine` in the program",
        ),
    ],
)
def test_a_text_is_filled_as_programs_write(text: str, python: str, native: str, provider: str) -> None:
    """A value is put in as it is, whatever it is called."""
    for wording, expected in ((Wording(), python), (NATIVE, native), (PROVIDER, provider)):
        with using(wording):
            assert fill(text, {"id": "i-1"}) == expected
            assert fill("{id}", {"id": "{retry_failed}"}) == "{retry_failed}"


def test_an_example_of_a_nested_value() -> None:
    assert (
        example("ProductCode", "product_code_id", "a")
        == 'a ProductCodeArgs, such as ProductCodeArgs(product_code_id="a")'
    )
    with using(NATIVE):
        assert example("ProductCode", "product_code_id", "a") == 'a product code, such as {productCodeId: "a"}'


def test_no_rule_says_a_python_name() -> None:
    """What is said of a value that is of no use, and each constant text of errors, rules and checks."""
    with using(NATIVE):
        texts = [
            f"{written(entry.name)} {entry.rule(value) or ''}"
            for table in TABLES
            for entry in table
            for value in VALUES
        ]
        texts += [error(errors.Subject(), "r").remedy for error in (errors.TaskNotFoundError, errors.CredentialsError)]
        values = dict.fromkeys(FILLED, "x")
        texts += [fill(text, values) for rule in RULES for text in (rule.text, rule.remedy)]
    for text in texts:
        plain = re.sub(r" '\w*'|\{[^}]*\}", "", text)
        assert not re.search(r"[a-z]_[a-z]|\bTrue\b|\bFalse\b|Args\b|(?<!arn:)aws:", plain), text


def test_each_name_in_a_rule_is_one() -> None:
    """Of an input, or of what a case fills in: a misspelt one would be shown as it is."""
    for rule in RULES:
        for _, field, _, _ in Formatter().parse(f"{rule.text} {rule.remedy}"):
            assert field is None or field in FILLED or field.partition("=")[0] in NAMES, (rule.name, field)


def find_sentences(tree: ast.AST) -> Iterator[str]:
    """Yield each text with a space in it that is no docstring."""
    apart = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            apart.update(id(each) for each in ast.walk(node) if isinstance(each, ast.Constant))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            yield from [node.value] if " " in node.value.strip() else ()


def test_no_sentence_has_a_name_written_already() -> None:
    """Of an input, an output or a setting: what the native host could not write in another way any more."""
    package = Path(errors.__file__).parent
    nested = (name for members in MEMBERS.values() for name in members)
    names = sorted(name for name in {*NAMES, *OUTPUTS, *nested, "custom_timeouts"} if "_" in name)
    written_already = re.compile(rf"(?<!{{)\b({'|'.join(names)})\b|(?<!arn:)\baws:[a-zA-Z]")
    seen = 0
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0] not in ("sdk", "emulator", "testing"):
            for text in find_sentences(ast.parse(path.read_text(encoding="utf-8"))):
                seen += 1
                assert not written_already.search(text), (path.name, text)
    assert seen > 300
