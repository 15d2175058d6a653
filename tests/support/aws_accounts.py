"""An AWS on loopback that keeps accounts apart: it knows whose key signed a request, and notes all that came.

STS (GetCallerIdentity, AssumeRole, AssumeRoleWithWebIdentity), License Manager (Get, List and Create of conversion
tasks), EC2 (DescribeInstances) and the metadata service of an EC2 instance. It serves as an HTTP proxy too: a request
for another host is answered as its own, and noted as one that came through a proxy; with a certificate one by TLS too.
"""

import itertools
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore import xform_name

HOME, STACK, OTHER, THIRD = (digit * 12 for digit in "1234")
"""The accounts of the environment, of a stack's settings, and of two roles."""

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_STS_XMLNS = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass(frozen=True)
class Request:
    """A request as it came. What is not in it is empty: an unsigned one has no access key, region and service."""

    service: str
    operation: str
    access_key: str
    region: str
    host: str
    parameters: Mapping[str, Any]
    account: str | None
    """The account that the access key belongs to."""
    user_agent: str = ""
    by_proxy: bool = False


class _Refusal(Exception):  # noqa: N818
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


_UNKNOWN_KEY = {
    "license-manager": ("UnrecognizedClientException", "The security token included in the request is invalid.", 400),
    "sts": ("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
    "ec2": ("AuthFailure", "AWS was not able to validate the provided access credentials", 401),
}
"""How each service refuses a key that it does not know."""


@dataclass
class _Principal:
    account: str
    arn: str
    token: str | None = None


@dataclass
class AwsAccounts:
    """The accounts, and what was asked of them. A test adds users, and reads `requests`."""

    endpoint: str = ""
    requests: list[Request] = field(default_factory=list)
    external_ids: dict[str, str] = field(default_factory=dict)
    """By the ARN of a role: what AssumeRole has to bring."""
    web_identity_tokens: set[str] = field(default_factory=set)
    tasks: dict[tuple[str, str], dict[str, dict[str, Any]]] = field(default_factory=dict)
    """License conversion tasks by id, by account and region."""
    usage_operations: dict[str, str] = field(default_factory=dict)
    """What EC2 bills an instance as, by its ARN; a conversion changes it."""
    is_quick: bool = False
    """Whether a conversion is done as soon as it is started."""
    on_request: Callable[[Request], None] = lambda _: None
    """Is called with each request before it is answered."""
    decoded: dict[str, str] = field(default_factory=dict)
    """What encoded authorization messages say."""
    break_next: bool = False
    """Whether the next request meets a fault of AWS's own."""
    tunnel: ssl.SSLContext | None = None
    """Ends the TLS of what comes through the proxy."""

    def __post_init__(self) -> None:
        self._principals: dict[str, _Principal] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add_user(self, account: str, access_key: str, token: str | None = None) -> None:
        self._principals[access_key] = _Principal(account, f"arn:aws:iam::{account}:user/{access_key.lower()}", token)

    def remove(self, access_key: str) -> None:
        del self._principals[access_key]

    def add_task(self, account: str, region: str, task_id: str, **members: Any) -> None:
        task = {"LicenseConversionTaskId": task_id, "Status": "IN_PROGRESS", "ResourceArn": "arn", **members}
        self.tasks.setdefault((account, region), {})[task_id] = task

    def requests_of(self, operation: str) -> list[Request]:
        return [request for request in self.requests if request.operation == operation]

    def answer(self, request: Request, token: str | None) -> Any:
        """Note a request and return its answer: the members of the operation's result."""
        self.on_request(request)
        with self._lock:
            self.requests.append(request)
            if self.break_next:
                self.break_next = False
                raise _Refusal("InternalFailure", "Something broke.", 500)
            if request.operation != "AssumeRoleWithWebIdentity":
                self._check_signature(request, token)
            answer = getattr(self, f"_{xform_name(request.operation)}", None)
            if answer is None:
                raise _Refusal("InvalidAction", f"Could not find operation {request.operation}")
            return answer(request)

    def find_account(self, access_key: str) -> str | None:
        principal = self._principals.get(access_key)
        return principal.account if principal else None

    def make_credentials(self, arn: str, account: str, seconds: int) -> dict[str, str]:
        number = next(self._numbers)
        access_key, token = f"ASIA{account}{number:04}", f"token-{number}"
        self._principals[access_key] = _Principal(account, arn, token)
        expiration = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        return {
            "AccessKeyId": access_key,
            "SecretAccessKey": f"secret-{number}",
            "SessionToken": token,
            "Expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _check_signature(self, request: Request, token: str | None) -> None:
        principal = self._principals.get(request.access_key)
        if principal is None or principal.token != token:
            raise _Refusal(*_UNKNOWN_KEY[request.service])

    def _get_caller_identity(self, request: Request) -> dict[str, Any]:
        principal = self._principals[request.access_key]
        return {"Arn": principal.arn, "UserId": request.access_key, "Account": principal.account}

    def _decode_authorization_message(self, request: Request) -> dict[str, Any]:
        return {"DecodedMessage": self.decoded[request.parameters["EncodedMessage"]]}

    def _assume_role(self, request: Request) -> dict[str, Any]:
        arn = request.parameters["RoleArn"]
        if self.external_ids.get(arn) not in (None, request.parameters.get("ExternalId")):
            raise _Refusal("AccessDenied", f"not authorized to perform: sts:AssumeRole on resource: {arn}", 403)
        return self._to_session(request)

    def _assume_role_with_web_identity(self, request: Request) -> dict[str, Any]:
        if request.access_key or request.parameters["WebIdentityToken"] not in self.web_identity_tokens:
            raise _Refusal("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider")
        return self._to_session(request)

    def _to_session(self, request: Request) -> dict[str, Any]:
        account, role = request.parameters["RoleArn"].split(":")[4:6]
        arn = f"arn:aws:sts::{account}:assumed-{role}/{request.parameters['RoleSessionName']}"
        seconds = int(request.parameters.get("DurationSeconds", 3600))
        credentials = self.make_credentials(arn, account, seconds)
        return {"Credentials": credentials, "AssumedRoleUser": {"Arn": arn, "AssumedRoleId": "AROA:x"}}

    def _tasks_of(self, request: Request) -> dict[str, dict[str, Any]]:
        return self.tasks.setdefault((str(request.account), request.region), {})

    def _get_license_conversion_task(self, request: Request) -> dict[str, Any]:
        task_id = request.parameters["LicenseConversionTaskId"]
        if task_id not in self._tasks_of(request):
            raise _Refusal("InvalidParameterValueException", f"License conversion task {task_id} not found")
        return self._tasks_of(request)[task_id]

    def _list_license_conversion_tasks(self, request: Request) -> dict[str, Any]:
        wanted = {one["Name"]: one["Values"] for one in request.parameters.get("Filters", [])}
        arns, statuses = wanted.get("ResourceArns"), wanted.get("Status")
        found = [
            task
            for task in self._tasks_of(request).values()
            if (arns is None or task.get("ResourceArn") in arns) and (statuses is None or task["Status"] in statuses)
        ]
        return {"LicenseConversionTasks": found}

    def _create_license_conversion_task_for_resource(self, request: Request) -> dict[str, Any]:
        arn = request.parameters["ResourceArn"]
        region, account = arn.split(":")[3:5]
        if (account, region) != (request.account, request.region):
            raise _Refusal("InvalidParameterValueException", f"ResourceId - [{arn}] is not in this account and region")
        task_id = f"lct-{next(self._numbers):032x}"
        task = {**request.parameters, "StartTime": 1700000000}
        if self.is_quick:
            task |= {"Status": "SUCCEEDED", "LicenseConversionTime": 1700000060, "EndTime": 1700000090}
            self.usage_operations[arn] = request.parameters["DestinationLicenseContext"]["UsageOperation"]
        self.add_task(account, region, task_id, **task)
        return {"LicenseConversionTaskId": task_id}

    def _describe_instances(self, request: Request) -> dict[str, Any]:
        arn = f"arn:aws:ec2:{request.region}:{request.account}:instance/{request.parameters['Filter.1.Value.1']}"
        if arn not in self.usage_operations:
            return {"reservationSet": {}}
        instance = {
            "instanceId": request.parameters["Filter.1.Value.1"],
            "instanceState": {"name": "stopped"},
            "usageOperation": self.usage_operations[arn],
        }
        return {"reservationSet": {"item": {"instancesSet": {"item": instance}}}}


def _to_xml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_to_xml(member)}</{name}>" for name, member in value.items())
    return escape(str(value))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    accounts: AwsAccounts
    is_tunnelled = False

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target")
        if target:
            operation, parameters = target.rpartition(".")[2], json.loads(body or b"{}")
        else:
            parameters = dict(parse_qsl(body.decode()))
            operation = parameters.pop("Action", "")
            parameters.pop("Version", None)
        signed = _CREDENTIAL.search(self.headers.get("Authorization", ""))
        access_key, region, service = signed.groups() if signed else ("", "", "")
        request = Request(
            service=service,
            operation=operation,
            access_key=access_key,
            region=region,
            host=self.headers["Host"],
            parameters=parameters,
            account=self.accounts.find_account(access_key),
            user_agent=self.headers.get("User-Agent", ""),
            by_proxy=self.is_tunnelled or not self.path.startswith("/"),
        )
        try:
            answer = self.accounts.answer(request, self.headers.get("X-Amz-Security-Token"))
        except _Refusal as refusal:
            self._refuse(refusal, is_json=bool(target))
            return
        if target:
            self._send(200, json.dumps(answer))
        elif service == "ec2":
            self._send(200, f"<{operation}Response>{_to_xml(answer)}</{operation}Response>")
        else:
            result = f"<{operation}Result>{_to_xml(answer)}</{operation}Result>"
            self._send(200, f'<{operation}Response xmlns="{_STS_XMLNS}">{result}</{operation}Response>')

    def _refuse(self, refusal: _Refusal, *, is_json: bool) -> None:
        if is_json:
            self._send(refusal.status, json.dumps({"__type": refusal.code, "message": str(refusal)}))
        else:
            error = _to_xml({"Error": {"Type": "Sender", "Code": refusal.code, "Message": str(refusal)}})
            self._send(refusal.status, f'<ErrorResponse xmlns="{_STS_XMLNS}">{error}</ErrorResponse>')

    def do_CONNECT(self) -> None:
        """Be the host that the client wants a tunnel to."""
        assert self.accounts.tunnel is not None
        self.send_response(200)
        self.end_headers()
        self.connection = self.accounts.tunnel.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.is_tunnelled = True
        self.close_connection = False

    def finish(self) -> None:
        """Close the tunnel, whose socket is not the one that the server closes."""
        super().finish()
        if self.is_tunnelled:
            self.connection.close()

    def do_PUT(self) -> None:
        self._note("PutToken")
        self._send(200, "metadata-token")

    def do_GET(self) -> None:
        """Answer as the metadata service of an instance whose role is in account 999999999999."""
        self._note("GetMetadata")
        if self.path.endswith("/security-credentials/"):
            self._send(200, "instance-role")
            return
        account = "999999999999"
        made = self.accounts.make_credentials(f"arn:aws:sts::{account}:assumed-role/instance-role/i-0", account, 7200)
        token = made.pop("SessionToken")
        self._send(200, json.dumps({"Code": "Success", "Token": token, **made}))

    def _note(self, operation: str) -> None:
        request = Request("imds", operation, "", "", self.headers["Host"], {}, None)
        self.accounts.requests.append(request)

    def _send(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write nothing: a client that trusts no certificate hangs up."""


@contextmanager
def serve_accounts(tls: ssl.SSLContext | None = None) -> Iterator[AwsAccounts]:
    """Serve accounts on loopback; each test adds users to them."""
    accounts = AwsAccounts()
    handler = type("Handler", (_Handler,), {"accounts": accounts})
    with _Server(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        accounts.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield accounts
        finally:
            server.shutdown()
            thread.join()
