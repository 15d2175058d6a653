"""The package's schema: true to the tables, and valid by Pulumi's own rules where these are at hand."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmconv_resource.aws.settings_table import SETTINGS
from lmconv_resource.hosts.native.outputs import CONVERSION_OUTPUTS, TASK_OUTPUTS
from lmconv_resource.hosts.native.resources import FUNCTIONS, RESOURCES
from lmconv_resource.hosts.native.schema import make_schema
from lmconv_resource.lifecycle.inputs import CONVERSION_PROPERTIES, LIST_PROPERTIES, TASK_PROPERTIES
from lmconv_resource.models import OUTPUTS
from lmconv_resource.sdk import resources as sdk

SCHEMA = make_schema("0.1.0")
CONVERSION = SCHEMA["resources"]["lmconv:index:LicenseConversion"]
TASK = SCHEMA["resources"]["lmconv:index:LicenseConversionTask"]


def test_everything_that_is_served_is_there() -> None:
    """No more and no less."""
    assert set(SCHEMA["resources"]) == set(RESOURCES)
    assert set(SCHEMA["functions"]) == set(FUNCTIONS)
    assert set(SCHEMA["config"]["variables"]) == {setting.key for setting in SETTINGS}
    assert SCHEMA["provider"]["inputProperties"] == SCHEMA["config"]["variables"]


def test_inputs_are_those_of_the_tables() -> None:
    """With defaults, and with what replaces a resource."""
    for spec, table in ((TASK, TASK_PROPERTIES), (CONVERSION, CONVERSION_PROPERTIES)):
        assert len(spec["inputProperties"]) == len(table)
        assert spec["requiredInputs"] == [to_camel(entry.name) for entry in table if entry.required]
        for entry in table:
            found = spec["inputProperties"][to_camel(entry.name)]
            assert found.get("default") == entry.default
            assert found.get("replaceOnChanges", False) is entry.replaces
            assert found["description"]
    assert CONVERSION["inputProperties"]["sourceLicenseContext"]["$ref"] == "#/types/lmconv:index:LicenseContext"
    arguments = SCHEMA["functions"]["lmconv:index:getLicenseConversionTasks"]["inputs"]["properties"]
    assert list(arguments) == [to_camel(entry.name) for entry in LIST_PROPERTIES]


def to_camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def test_outputs_are_those_of_the_sdk() -> None:
    """Their names, and their descriptions to the letter."""
    assert tuple(output.name for output in TASK_OUTPUTS) == OUTPUTS
    said = {**_attribute_docstrings(sdk._TrackedTask), **_attribute_docstrings(sdk.LicenseConversion)}
    assert {output.name: output.description for output in CONVERSION_OUTPUTS} == said
    assert list(CONVERSION["properties"]) == [to_camel(output.name) for output in CONVERSION_OUTPUTS]


def _attribute_docstrings(of: type) -> dict[str, str]:
    (parsed,) = ast.parse(inspect.getsource(of)).body
    assert isinstance(parsed, ast.ClassDef)
    return {
        before.target.id: node.value.value
        for before, node in zip(parsed.body, parsed.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def test_credentials_are_secret() -> None:
    """In the stack's configuration, and in the members of structured settings."""
    secret = {name for name, spec in SCHEMA["config"]["variables"].items() if spec.get("secret")}
    assert secret == {"accessKey", "secretKey", "token"}
    types = SCHEMA["types"]
    assert types["lmconv:index:AssumeRole"]["properties"]["externalId"]["secret"]
    assert types["lmconv:index:AssumeRoleWithWebIdentity"]["properties"]["webIdentityToken"]["secret"]


def test_every_reference_leads_somewhere() -> None:
    """To a type of the schema or of Pulumi's own."""
    for ref in _refs(SCHEMA):
        assert ref == "pulumi.json#/Any" or ref.removeprefix("#/types/") in SCHEMA["types"]


def _refs(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _refs(value)
    elif isinstance(part, list):
        for value in part:
            yield from _refs(value)


def test_every_resource_has_examples_in_three_languages() -> None:
    """In the form that Pulumi's SDKs and its registry take apart."""
    for spec in (TASK, CONVERSION):
        assert spec["description"].count("{{% example") == spec["description"].count("{{% /example")
        for language in ("yaml", "typescript", "python"):
            assert f"```{language}\n" in spec["description"]


def test_it_is_valid_by_pulumis_metaschema() -> None:
    """`pkg/codegen/schema/pulumi.json` of pulumi/pulumi, which LMCONV_PULUMI_METASCHEMA names."""
    path = os.environ.get("LMCONV_PULUMI_METASCHEMA")
    if not path:
        pytest.skip("LMCONV_PULUMI_METASCHEMA does not name pulumi/pulumi's pkg/codegen/schema/pulumi.json")
    if importlib.util.find_spec("jsonschema") is None:
        pytest.skip("jsonschema is not installed")
    import jsonschema

    metaschema = json.loads(Path(path).read_text().replace("(?<", "(?P<"))  # Python's form of named groups
    validator = jsonschema.validators.validator_for(metaschema)(metaschema)
    assert [error.message for error in validator.iter_errors(SCHEMA)] == []


@pytest.mark.skipif(shutil.which("pulumi") is None, reason="pulumi is not on PATH")
def test_pulumi_takes_it(tmp_path: Path) -> None:
    """`pulumi package get-schema` reads the schema from the plugin, and can write an SDK of it."""
    script = tmp_path / "pulumi-resource-lmconv"
    script.write_text(f"#!{sys.executable}\nfrom lmconv_resource.hosts.native.server import main\nmain()\n")
    script.chmod(0o755)
    environment = {
        **os.environ,
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    shown = subprocess.run(
        ["pulumi", "package", "get-schema", str(script)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert set(json.loads(shown.stdout)["resources"]) == set(RESOURCES)
    for language in ("python", "nodejs"):
        made = subprocess.run(
            ["pulumi", "package", "gen-sdk", str(script), "--language", language, "--out", str(tmp_path / "sdk")],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr + made.stdout
