"""Runs programs with the real `pulumi` command, in a backend of their own, with the plugin of this checkout."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from support.stacks import ROOT, make_backend, start_process

HAS_PULUMI = all(shutil.which(name) for name in ("pulumi", "pulumi-language-yaml"))
WITHOUT_PULUMI = "pulumi or pulumi-language-yaml is not on PATH: neither is in a package registry"


class Program:
    """A YAML program and a stack of it.

    Args:
        folder: an empty folder.
        program: the program; what it says of where the plugin is is replaced.
        environment: more environment variables.
    """

    def __init__(self, folder: Path, program: Mapping[str, Any], **environment: str) -> None:
        self.folder = folder / "program"
        for path in (self.folder, folder / "bin"):
            path.mkdir(parents=True)
        script = folder / "bin" / "pulumi-resource-lmconv"
        script.write_text(f"#!{sys.executable}\nfrom lmconv_resource.hosts.native.server import main\nmain()\n")
        script.chmod(0o755)
        self.plugins = {"providers": [{"name": "lmconv", "path": str(script.parent)}]}
        self.environment = {
            **make_backend(folder),
            "PYTHONPATH": str(ROOT),
            "PULUMI_DEBUG_COMMANDS": "true",  # for --event-log
            **environment,
        }
        self.write(program)
        self.run("stack", "init", "dev")

    def write(self, program: Mapping[str, Any]) -> None:
        text = {**{key: value for key, value in program.items() if key != "packages"}, "plugins": self.plugins}
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump(text, sort_keys=False))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return start_process(["pulumi", *arguments, "--non-interactive"], self.folder, self.environment)

    def run(self, *arguments: str, ok: bool = True, seconds: float = 100) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=seconds)
        assert (process.returncode == 0) is ok, output
        return output

    def config(self, **settings: str) -> None:
        for key, value in settings.items():
            self.run("config", "set", f"lmconv:{key}", value)

    def up(self, *, ok: bool = True) -> tuple[dict[str, int], str]:
        """Run `pulumi up`, and return what it changed and what it wrote."""
        return self._operate("up", "--skip-preview", ok=ok)

    def refresh(self) -> tuple[dict[str, int], str]:
        return self._operate("refresh", "--skip-preview")

    def destroy(self) -> tuple[dict[str, int], str]:
        return self._operate("destroy", "--skip-preview")

    def _operate(self, name: str, *arguments: str, ok: bool = True) -> tuple[dict[str, int], str]:
        log = self.folder.parent / "events"
        log.unlink(missing_ok=True)
        output = self.run(name, "--yes", *arguments, "--event-log", str(log), ok=ok)
        return _summary(log), output

    def deployment(self) -> dict[str, Any]:
        deployment: dict[str, Any] = json.loads(self.run("stack", "export"))["deployment"]
        return deployment

    def resources(self, kind: str = "lmconv:index:") -> dict[str, dict[str, Any]]:
        """Return the package's resources in the state, by name."""
        found = self.deployment().get("resources", [])
        return {r["urn"].rsplit("::", 1)[-1]: r for r in found if r["type"].startswith(kind)}

    def outputs(self) -> dict[str, Any]:
        outputs: dict[str, Any] = json.loads(self.run("stack", "output", "--json"))
        return outputs


def _summary(log: Path) -> dict[str, int]:
    events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    summaries = [event["summaryEvent"] for event in events if "summaryEvent" in event]
    changes: dict[str, int] = summaries[-1]["resourceChanges"] if summaries else {}
    return changes
