"""The package's door: every name is there, and what is imported is what is used."""

import inspect
import re
import subprocess
import sys
import textwrap

import pytest

import lmconv_resource


@pytest.mark.parametrize("name", lmconv_resource.__all__)
def test_every_name_is_there(name: str) -> None:
    """Each is what its module has by the same name, and an editor is told of it."""
    value = getattr(lmconv_resource, name)
    assert value is getattr(sys.modules[value.__module__], name)
    assert name in dir(lmconv_resource)


def test_every_class_has_an_example_that_runs() -> None:
    """Under mocks, with the package's names and Pulumi at hand."""
    classes = [name for name in lmconv_resource.__all__ if isinstance(getattr(lmconv_resource, name), type)]
    found = {
        name: re.findall(r"```python\n(.*?)```", inspect.getdoc(getattr(lmconv_resource, name)) or "", re.DOTALL)
        for name in classes
    }
    assert [name for name, examples in found.items() if not examples] == []
    code = "\n".join(textwrap.dedent(example) for examples in found.values() for example in examples)
    done = subprocess.run([sys.executable, "-c", UNDER_MOCKS], input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


UNDER_MOCKS = """
import sys
import pulumi
import pulumi.runtime
import lmconv_resource

class Answers(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return args.name, {**args.inputs, "destination_license_context": {"usage_operation": "RunInstances:0002"}}
    def call(self, args):
        return {"status": "FAILED"}, []

pulumi.runtime.set_mocks(Answers())
names = {each: getattr(lmconv_resource, each) for each in lmconv_resource.__all__}
pulumi.runtime.test(lambda: exec(sys.stdin.read(), {"pulumi": pulumi, **names}))()
"""


def test_a_name_that_is_not_there() -> None:
    """The error is Python's own."""
    with pytest.raises(AttributeError, match="module 'lmconv_resource' has no attribute 'LicenceConversion'"):
        lmconv_resource.LicenceConversion  # type: ignore[attr-defined]  # noqa: B018


def test_what_is_not_used_is_not_imported() -> None:
    """An unchanged stack of tracked tasks costs no import of all that a start takes, and no program one of boto3."""
    code = """
import sys, lmconv_resource.provider
from lmconv_resource import LicenseConversionTask
starting = tuple(f"lmconv_resource.lifecycle.{name}" for name in ("convert", "functions", "job", "fleet"))
print([name for name in sys.modules if name.startswith(starting)])
from lmconv_resource import *
import lmconv_resource.conversion_provider, lmconv_resource.hosts.session, lmconv_resource.aws.access.settings
print([name for name in ("boto3", "botocore", "moto") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n[]\n"
