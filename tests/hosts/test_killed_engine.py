"""A plugin process whose engine was killed ends by itself, whatever it was about, and leaves AWS alone."""

import json
import os
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.engine import OURS, OURS_STARTS, serve_engine, start_plugin, to_urn
from support.waiting import wait_until
from support.wire import add_running

from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend

SECONDS = 60.0
"""Some 3 s on a machine that is not busy."""

TRACK = {"license_conversion_task_id": "lct-0000", "region": "eu-west-1", "__provider": OURS}
START = {
    "resource_arn": "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0",
    "region": "eu-west-1",
    "source_license_context": {"usage_operation": "RunInstances:0800"},
    "destination_license_context": {"usage_operation": "RunInstances:0002"},
    "__provider": OURS_STARTS,
}


@pytest.mark.parametrize(
    ("moment", "handler"),
    [
        ("in a wait", ""),
        *(
            pytest.param(*case, marks=pytest.mark.proof)
            for case in (
                ("in a call to EC2", ""),
                ("between two tries", ""),
                ("while idle", ""),
                # As a job that was started with nohup and &, and as a provider that has a handler of its own.
                ("in a wait", "signal.SIG_IGN"),
                ("in a wait", "lambda *_: None"),
            )
        ),
    ],
)
def test_a_plugin_ends_with_its_engine(moment: str, handler: str, tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """Whether a task is waited for, a call is tried again, or EC2 never answers; whatever handles its signals."""
    add_running(aws, 1)
    if moment == "between two tries":
        aws.faults.add(Fault(ErrorAnswer("ServerInternalException")))
    environment = {}
    if handler:
        text = f"import signal\nfor name in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(name, {handler})\n"
        (tmp_path / "sitecustomize.py").write_text(text)
        environment["PYTHONPATH"] = str(tmp_path)
    with (
        socket.create_server(("127.0.0.1", 0), backlog=10) as ec2,
        serve_engine() as engine,
        ThreadPoolExecutor() as pool,
    ):
        urls = {
            "licensemanager": os.environ["AWS_ENDPOINT_URL_LICENSE_MANAGER"],
            "ec2": f"http://127.0.0.1:{ec2.getsockname()[1]}",
        }
        with start_plugin(tmp_path, engine, {"aws:endpoints": json.dumps([urls])}, environment) as plugin:
            inputs = START if moment == "in a call to EC2" else {**TRACK, "wait_for_completion": moment == "in a wait"}
            plugin.check(to_urn("task"), {}, inputs)
            called = pool.submit(plugin.create, to_urn("task"), inputs)

            def has_come() -> bool:
                if moment in ("in a wait", "between two tries"):
                    return aws.calls["GetLicenseConversionTask"] > 0
                return called.done() if moment == "while idle" else bool(select.select([ec2], [], [], 0)[0])

            wait_until(has_come, moment, 60)
            engine.stop()
            assert plugin.process is not None
            plugin.process.wait(SECONDS)
            calls = aws.calls.total()
            time.sleep(0.3)
            assert aws.calls.total() == calls
