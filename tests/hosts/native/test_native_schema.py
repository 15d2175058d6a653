"""The package's schema: true to the tables, and valid by Pulumi's own rules where these are at hand."""

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from make_schema import HOME
from support.proofs import keep

from lmconv_resource.hosts.native import SCHEMA_PATH
from lmconv_resource.hosts.native.resources import RESOURCES
from lmconv_resource.lifecycle.track import FUNCTIONS

SCHEMA = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def test_everything_that_is_served_is_there() -> None:
    """No more and no less, under the version that is served."""
    assert set(SCHEMA["resources"]) == set(RESOURCES)
    assert set(SCHEMA["functions"]) == set(FUNCTIONS)
    assert SCHEMA["version"] == importlib.metadata.version("lmconv-resource")
    for spec in SCHEMA["resources"].values():
        # The generator for TypeScript makes those of a resource that is looked up only if they are named here too.
        assert set(spec["properties"]) <= set(spec["stateInputs"]["properties"])


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


COMPILED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "python": ((), (sys.executable, "-m", "compileall", "-q", ".")),
    "nodejs": (("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"), ("npx", "tsc", "--noEmit")),
    "go": (("go", "mod", "tidy"), ("go", "vet", "./...")),
    "java": ((), ("gradle", "compileJava", "-q")),
}
"""By the language: what brings the packages that an SDK needs, and what compiles it, in its folder."""


@pytest.mark.parametrize("language", keep(["python"], COMPILED))
def test_pulumi_writes_an_sdk_that_compiles(tmp_path: Path, language: str) -> None:
    """Of the schema as it is served, and without a word of warning."""
    bring, compile_ = COMPILED[language]
    for needed in ("pulumi", f"pulumi-language-{language}", compile_[0]):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not on PATH")
    script = tmp_path / "pulumi-resource-lmconv"
    script.write_text(f"#!{sys.executable}\nfrom lmconv_resource.hosts.native.server import main\nmain()\n")
    script.chmod(0o755)
    environment = {
        **os.environ,
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }

    def run(folder: Path, *command: str) -> str:
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    package = "pulumi", "package"
    assert (
        "warning" not in run(tmp_path, *package, "gen-sdk", str(script), "--language", language, "--out", "sdk").lower()
    )
    folder = tmp_path / "sdk" / language
    if language == "go":
        requires = f"require github.com/pulumi/pulumi/sdk/v3 {run(tmp_path, 'pulumi', 'version').strip()}"
        (folder / "go.mod").write_text(f"module {HOME.partition('://')[2]}/sdk/go\n\ngo 1.25\n\n{requires}\n")
    if bring and subprocess.run(bring, env=environment, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip(f"`{' '.join(bring)}` failed: what the SDK needs can't be had")
    run(folder, *compile_)
