"""What an account more costs in memory: roles of many accounts, each with its clients, in one process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from benchmarks.figures import Figure, Group

_BOUND_MB = 3.0

_ASSUMED = (
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA{0}</AccessKeyId><SecretAccessKey>sk"
    "</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
    "</AssumeRoleResult></AssumeRoleResponse>"
)
_PROGRAM = """
import gc, json, sys
from concurrent.futures import ThreadPoolExecutor
from lmconv_resource.aws.access import AssumedRole, Settings
from lmconv_resource.aws.client import Connections
from lmconv_resource.polling.cancellation import Cancellation

endpoint, count = sys.argv[1], int(sys.argv[2])
endpoints = tuple((name, endpoint) for name in ("ec2", "license-manager", "sts"))
connections, cancellation = Connections(Cancellation(), on_note=print), Cancellation()

def use(number):
    role = AssumedRole(f"arn:aws:iam::{number:012}:role/conversion")
    keys = {"access_key": "AKIA", "secret_key": "sk"}
    connection = connections.get(Settings("eu-west-1", assume_roles=(role,), endpoints=endpoints, **keys))
    connection.until(cancellation).license_manager.list_tasks()
    connection.until(cancellation).ec2.get_instance(f"arn:aws:ec2:eu-west-1:{number:012}:instance/i-0123456789abcdef0")

def megabytes():
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

use(1)
one = megabytes()
with ThreadPoolExecutor(20) as threads:
    list(threads.map(use, range(2, count + 1)))
print(json.dumps([one, megabytes()]))
"""


class _Aws(BaseHTTPRequestHandler):
    """STS that lets every role be assumed, a License Manager without tasks and an EC2 without instances."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        answer = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>"
        if self.headers.get("X-Amz-Target"):
            answer = json.dumps({"LicenseConversionTasks": []})
        elif "Action=AssumeRole" in body:
            answer = _ASSUMED.format(parse_qs(body)["RoleArn"][0].split(":")[4])
        data = answer.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def _serve() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Aws)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def measure(*, quick: bool) -> Group:
    """Measure the resident set of a process after one account and after many."""
    count = 10 if quick else 40
    with _serve() as endpoint:
        command = [sys.executable, "-c", _PROGRAM, endpoint, str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    one, many = json.loads(done.stdout)
    each = (many - one) / (count - 1)
    figure = Figure(
        f"memory of an account more, of {count} by assumed roles",
        f"{each:.1f} MB",
        f"the first: {one:.0f} MB",
        "",
        f"{_BOUND_MB:.0f} MB",
        each <= _BOUND_MB,
    )
    return Group("Many accounts in one process", (figure,))
