"""The package's schema: true to the tables, and valid by Pulumi's own rules where these are at hand."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmconv_resource.hosts.native import SCHEMA_PATH
from lmconv_resource.hosts.native.names import to_camel
from lmconv_resource.hosts.native.provider import plugin_version
from lmconv_resource.hosts.native.resources import FUNCTIONS, RESOURCES

SCHEMA = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def test_everything_that_is_served_is_there() -> None:
    """No more and no less, under the version that is served."""
    assert set(SCHEMA["resources"]) == set(RESOURCES)
    assert set(SCHEMA["functions"]) == set(FUNCTIONS)
    assert SCHEMA["version"] == plugin_version()
    for token, resource in RESOURCES.items():
        outputs = SCHEMA["resources"][token]["properties"]
        assert list(outputs) == [to_camel(name) for name in resource.outputs]
        # The generator for TypeScript makes those of a resource that is looked up only if they are named here too.
        assert set(outputs) <= set(SCHEMA["resources"][token]["stateInputs"]["properties"])


def test_a_task_is_told_in_the_same_words_everywhere() -> None:
    """As a resource and as what a function returns."""
    task = SCHEMA["types"]["lmconv:index:Task"]
    resource = SCHEMA["resources"]["lmconv:index:LicenseConversionTask"]
    assert [task[name] for name in ("properties", "required")] == [resource["properties"], resource["required"]]


def test_no_type_is_one_of_config_and_of_functions() -> None:
    """The generator for Java writes the same file twice, and panics."""
    config = set(_refs(SCHEMA["config"])) - {"pulumi.json#/Any"}
    assert not config & {*_refs(SCHEMA["functions"]), *_refs(SCHEMA["resources"])}


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
    for spec in SCHEMA["resources"].values():
        assert spec["description"].count("{{% example") == spec["description"].count("{{% /example")
        for language in ("yaml", "typescript", "python"):
            assert f"```{language}\n" in spec["description"]


def test_no_text_is_of_one_language() -> None:
    """Neither a name in Python's spelling nor Python's None stands in what all languages show."""
    for text in _texts(SCHEMA):
        plain = re.sub(r"```.*?```|`ca_bundle`", "", text, flags=re.DOTALL)
        assert not re.search(r"[a-z]_[a-z]|\bTrue\b|\bFalse\b|\bNone\b|Args\b|(?<!arn:)aws:[a-z]", plain), text


def _texts(part: Any) -> Iterator[str]:
    for name, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        if name == "description" and isinstance(value, str):
            yield value
        else:
            yield from _texts(value)


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
