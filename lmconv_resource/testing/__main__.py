"""Runs an operation of `LocalEngine` from the command line and shows it line by line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from .engine import LocalEngine
from .events import Message, OperationResult, Step, UpdateFailedError
from .properties import UNKNOWN

_TITLES = {"up": "Updating", "preview": "Previewing update", "refresh": "Refreshing", "destroy": "Destroying"}
_SIGNS = {"create": "+", "update": "~", "replace": "+-", "delete": "-", "read": ">", "refresh": "~", "same": " "}
_DOING = {
    "create": ("creating", "created", "create"),
    "update": ("updating", "updated", "update"),
    "replace": ("replacing", "replaced", "replace"),
    "delete": ("deleting", "deleted", "delete"),
    "read": ("reading", "read", "read"),
    "refresh": ("refreshing", "refreshed", "refresh"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit status: 1 when the operation failed."""
    parser = argparse.ArgumentParser(
        prog="python -m lmconv_resource.testing",
        description="Run a Pulumi program by the local engine, which stands in for the pulumi command.",
    )
    parser.add_argument("operation", choices=_TITLES)
    parser.add_argument("program", nargs="?", default=".", metavar="PROGRAM_DIR", help="a folder with Pulumi.yaml")
    parser.add_argument("--config", action="append", default=[], metavar="KEY=VALUE", help="may be given several times")
    parser.add_argument("--stack", default="dev", help="default: dev")
    parser.add_argument("--state", type=Path, metavar="FILE", help="default: PROGRAM_DIR/.pulumi-local/STACK.json")
    parser.add_argument("--parallel", type=int, metavar="N", help="steps at once; default: 4 for each core")
    options = parser.parse_intermixed_args(arguments)
    config = dict(_pair(parser, each) for each in options.config)
    display = _Display(preview=options.operation == "preview")
    engine = LocalEngine(
        options.program,
        stack=options.stack,
        config=config,
        state_file=options.state or Path(options.program, ".pulumi-local", f"{options.stack}.json"),
        parallel=options.parallel,
        timeout=None,
        on_message=display.message,
        on_step=display.step,
    )
    display.line("Local engine: this stands in for the pulumi command, which is not used here.")
    display.line(f"{_TITLES[options.operation]} ({options.stack}):\n")
    began = time.monotonic()
    failed = False
    with engine:
        _listen_for_interrupt(engine)
        try:
            result: OperationResult = getattr(engine, options.operation)()
        except UpdateFailedError as error:
            result, failed = error.result, True
    display.summary(result, time.monotonic() - began)
    return int(failed)


def _pair(parser: argparse.ArgumentParser, argument: str) -> tuple[str, str]:
    key, found, value = argument.partition("=")
    if not found:
        parser.error(f"--config needs KEY=VALUE, not {argument!r}")
    return key, value


def _listen_for_interrupt(engine: LocalEngine) -> None:
    # The first ^C waits for what runs, the second doesn't: as the engine. Both calls take locks that the interrupted
    # code may hold, so they get a thread.
    def on_second(*_: object) -> None:
        threading.Thread(target=engine.kill).start()

    def on_first(*_: object) -> None:
        signal.signal(signal.SIGINT, on_second)
        os.write(1, b"^C received; cancelling. Wait for the running steps, or press ^C again to leave at once.\n")
        threading.Thread(target=engine.cancel).start()

    signal.signal(signal.SIGINT, on_first)


class _Display:
    """Writes lines in the manner of `pulumi up`."""

    def __init__(self, *, preview: bool) -> None:
        self._preview = preview

    def line(self, text: str) -> None:
        print(text, flush=True)

    def message(self, message: Message) -> None:
        mark = "" if message.severity == "info" else f"{message.severity}: "
        first = message.text.strip().split("\n")[0]
        self.line(f"    {_title(message.urn)} {mark}{first}")

    def step(self, step: Step) -> None:
        if step.op == "same":
            return
        doing, done, plan = _DOING[step.op]
        if self._preview:
            if step.seconds is not None:
                self.line(f" {_SIGNS[step.op]:2} {_title(step.urn)} {plan}")
        elif step.seconds is None:
            self.line(f" {_SIGNS[step.op]:2} {_title(step.urn)} {doing}")
        else:
            ended = "**failed**" if step.failed else done
            self.line(f" {_SIGNS[step.op]:2} {_title(step.urn)} {ended} ({step.seconds:.1f}s)")

    def summary(self, result: OperationResult, seconds: float) -> None:
        lasting = [message for message in result.messages if not message.ephemeral]
        if lasting:
            self.line("\nDiagnostics:")
        for urn in dict.fromkeys(message.urn for message in lasting):
            self.line(f"  {_title(urn)}:")
            for message in lasting:
                if message.urn == urn:
                    mark = "" if message.severity == "info" else f"{message.severity}: "
                    self.line("    " + (mark + message.text).replace("\n", "\n    "))
        if result.outputs:
            self.line("\nOutputs:")
            width = max(map(len, result.outputs))
            for name, value in sorted(result.outputs.items()):
                shown = "[secret]" if name in result.secret_outputs else _show(value)
                self.line(f"    {name:{width}}: {shown}")
        self.line("\nResources:")
        for op, count in sorted(result.changes.items()):
            if op in {"create", "update", "replace", "delete"}:
                self.line(f"    {_SIGNS[op]} {count} {f'to {_DOING[op][2]}' if self._preview else _DOING[op][1]}")
        if result.changes["same"]:
            self.line(f"    {result.changes['same']} unchanged")
        if result.errors:
            self.line(f"    {len(result.errors)} errored")
        self.line(f"\nDuration: {seconds:.0f}s")


def _title(urn: str) -> str:
    type_, name = urn.split("::", 3)[2:]
    return f"{type_.split('$')[-1].split(':')[-1]} {name}"


def _show(value: Any) -> str:
    if value == UNKNOWN:
        return "[unknown]"
    return f'"{value}"' if isinstance(value, str) else str(value)


if __name__ == "__main__":
    sys.exit(main())
