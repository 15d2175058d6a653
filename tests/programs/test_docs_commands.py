"""Every command that the README and the documentation show is run, as it stands.

Each page has a world of its own: a copy of the checkout, named as the pages name it, and a program beside it. A page's
commands are run there one after the other, with the real `pulumi` and an emulated License Manager.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.checkout import PROJECT, copy_checkout
from support.job import BYOL, WINDOWS
from support.stacks import needs_pulumi

from lmconv_resource.emulator import serve

PAGES = ["README.md", *sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "docs").glob("*.md"))]
EXAMPLES = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "examples").glob("*/README.md"))
TASK_ID, OTHER_TASK_ID = "lct-0123456789abcdef0", "lct-0fedcba9876543210"
INSTANCE, OTHER_INSTANCE = (
    f"arn:aws:ec2:eu-west-1:123456789012:instance/i-{number}" for number in ("0123456789abcdef0", "0fedcba9876543210")
)

ELSEWHERE = {
    "make demo": "tests/programs/test_demo.py",
    "make test": "whoever reads this is running it",
    "pulumi cancel --yes": "tests/reliability/test_kill.py",
    "pulumi refresh --yes --clear-pending-creates": "tests/reliability/test_kill.py",
    "python -m lmconv_resource.emulator --port 5000 --instances 12 --fail 2": "tests/emulator/test_server.py",
    "python -m lmconv_resource.emulator arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0": (
        "tests/emulator/test_server.py"
    ),
    "make simulate SEEDS=0-50000": "takes an hour; tests/simulation plays the first of them",
    "git clone URL ../lmconv_resource": "the reader's own URL; the copy of the checkout is there",
    "aws sso login --profile licenses": "needs a portal and a person",
    "aws ec2 describe-instances --filters Name=tag-key,Values=lmconv:restart"
    " --query 'Reservations[].Instances[].InstanceId'": "AWS's own command is no part of this project",
    "aws ec2 describe-tags --filters Name=key,Values=lmconv:restart": "likewise",
}
"""Commands that are not run as part of their page, each with who runs it or why nobody can."""

ANSWERS = {
    "pulumi new ../lmconv_resource/templates/track": (
        f"--yes --name conversion --stack dev --config aws:region=eu-west-1 --config licenseConversionTaskId={TASK_ID}"
    ),
    "pulumi new ../lmconv_resource/examples/track --generate-only": "--yes",
    "pulumi up": "--yes --skip-preview",
    "pulumi import": "--yes --skip-preview",
}
"""What a person answers when a command asks, by how the command begins."""

INSTALLING = ("docs/installing.md", "docs/native.md", "docs/start.md")
"""Pages whose commands install packages."""


def read_blocks(page: str) -> list[list[str]]:
    """Return the commands of each block of a page."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```console\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    found = [re.findall(r"^ *\$ (.+?)(?: +#.*)?$", block, re.MULTILINE) for block in blocks]
    return [commands for commands in found if commands]


def read_yaml(page: str) -> str:
    """Return the first YAML of a page."""
    match = re.search(r"```yaml\n(.*?)```", (PROJECT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert match
    return match[1]


class World:
    """A checkout and a program beside it, and an environment without anything of the machine's user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkout = folder / "lmconv_resource"
        self.program = folder / "program"
        for name in ("home", "backend", "program"):
            (folder / name).mkdir()
        copy_checkout(self.checkout)
        self.write_program()
        tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))},
            "PATH": tools,
            "HOME": str(folder / "home"),
            "PULUMI_HOME": str(folder / "home" / ".pulumi"),
            "PULUMI_BACKEND_URL": (folder / "backend").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def write_program(self) -> None:
        """Write the README's program, with the settings that docs/installing.md shows for uv."""
        (self.program / "Pulumi.yaml").write_text(read_yaml("docs/installing.md"))
        readme = (PROJECT / "README.md").read_text(encoding="utf-8")
        (self.program / "__main__.py").write_text(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[2])

    def use_environment(self) -> None:
        """Let the program run with the packages of the tests, so that nothing has to be installed."""
        (self.program / "Pulumi.yaml").write_text(
            f"name: licenses\nruntime: {{name: python, options: {{virtualenv: '{sys.prefix}'}}}}\n"
        )
        self.env["PYTHONPATH"] = str(PROJECT)
        self.run(["pulumi stack init dev", "pulumi config set aws:region eu-west-1"], self.program)

    def run(self, commands: list[str], folder: Path) -> str:
        """Run commands in a shell that ends at the first that fails, and return what they wrote."""
        script = "\n".join(["set -e", *(answer(command) for command in commands if command not in ELSEWHERE)])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n\n{done.stdout}"
        return done.stdout


def answer(command: str) -> str:
    """Return a command with what a person would answer to it."""
    for beginning, words in ANSWERS.items():
        if f"{command} ".startswith(f"{beginning} ") and " --yes" not in command:
            return f"{command} {words}"
    return command


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world whose AWS is the emulator, with the tasks and the instances that the pages name."""
    made = World(tmp_path)
    with serve() as emulator:
        add_task = functools.partial(emulator.backend("eu-west-1").add_task, source=BYOL, destination=WINDOWS)
        for task_id, arn in ((TASK_ID, INSTANCE), (OTHER_TASK_ID, OTHER_INSTANCE)):
            add_task(task_id=task_id, resource_arn=arn)
        made.env.update(emulator.environment, AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing")
        yield made


@needs_pulumi
@pytest.mark.proof
@pytest.mark.timeout(900)
def test_installing(world: World) -> None:
    """uv, a new project from the template and one from an example, and the root program on AWS."""
    uv, new, fleet, root = read_blocks("docs/installing.md")
    assert new in read_blocks("docs/start.md")

    world.run([*uv, "pulumi stack init uv", "pulumi config set aws:region eu-west-1", "pulumi up"], world.program)
    world.run(new, world.folder)
    world.run([*fleet, ".venv/bin/python -c 'import lmconv_resource'"], world.folder)
    assert '"RunInstances:0002"' in world.run(root, world.checkout)


def test_the_readme_shows_how_to_get_the_native_provider() -> None:
    """By the commands of docs/native.md, which are run below."""
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    shown = [line for block in re.findall(r"```text\n(.*?)```", readme, re.DOTALL)[1:] for line in block.splitlines()]
    assert len(shown) == 4
    assert set(shown) <= {command for block in read_blocks("docs/native.md") for command in block}


@needs_pulumi
@pytest.mark.proof
@pytest.mark.timeout(900)
def test_native(world: World) -> None:
    """The native provider from a checkout and by pip, and what it imports."""
    shutil.copy(world.checkout / "examples" / "yaml" / "Pulumi.yaml", world.program)
    text = (world.program / "Pulumi.yaml").read_text()
    (world.program / "Pulumi.yaml").write_text(text.replace("packages:\n  lmconv: ../../plugin\n", ""))
    world.run(["pulumi stack init dev", f"pulumi config set instanceArn {OTHER_INSTANCE}"], world.program)

    *installing, importing = read_blocks("docs/native.md")
    assert "Resources:" in "".join(world.run(block, world.program) for block in installing)

    # What is imported is in no stack yet.
    world.run(["pulumi stack init imported", "pulumi config set lmconv:region eu-west-1"], world.program)
    world.run([f"pulumi config set instanceArn {OTHER_INSTANCE}"], world.program)
    assert world.run(importing, world.program).count("= 1 imported") == len(importing)


@needs_pulumi
@pytest.mark.proof
@pytest.mark.parametrize("page", [page for page in PAGES if page not in INSTALLING])
def test_pages_whose_commands_need_no_installation(request: pytest.FixtureRequest, page: str) -> None:
    """All other pages: their commands are run in a stack of the README's program."""
    blocks = [[command for command in block if command not in ELSEWHERE] for block in read_blocks(page)]
    if not any(blocks):
        return
    world: World = request.getfixturevalue("world")
    world.use_environment()
    for block in blocks:
        world.run(block, world.program)


@needs_pulumi
@pytest.mark.proof
@pytest.mark.parametrize("page", EXAMPLES)
def test_settings_of_examples(world: World, page: str) -> None:
    """The stack and its settings that an example begins with; tests/programs/test_examples.py runs the programs."""
    for block in read_blocks(page):
        commands = [c for c in block if c.startswith(("pulumi stack init", "pulumi config"))]
        left = {c for c in block if c not in commands and not re.fullmatch(r"pulumi up( --[-a-z]+( \d+)?)*", c)}
        assert left <= {
            "pulumi install",  # as for docs/installing.md
            "$EDITOR instances.csv",
            "pulumi stack output readme > report.md",
            "pulumi preview",
        }
        world.run(commands, (world.checkout / page).parent)


def test_what_is_run_elsewhere_is_still_shown() -> None:
    """No exception outlives the command that it is for."""
    shown = {command for page in PAGES for block in read_blocks(page) for command in block}
    assert set(ELSEWHERE) <= shown
