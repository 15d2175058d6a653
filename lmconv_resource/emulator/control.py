"""The control calls of the served emulator: `/lmconv/...` on its own endpoint, for clients on the same machine."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from .fault_reader import read_faults, read_rate_limit
from .managed_instances import add_instance_information
from .models import licensemanager_backends
from .reader import Reader, ScenarioError
from .scenario import STATUSES, Scenario, current_account, read_tasks
from .task import SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .models import LicenseManagerBackend

PREFIX = "/lmconv/"
"""What the paths of all control calls begin with."""


class Control:
    """A WSGI application that answers the control calls, and hands all else on to another one."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request; a control call gets one line of JSON, `{"error": ...}` when it cannot be done."""
        if not environ.get("PATH_INFO", "").startswith(PREFIX):
            if environ.get("HTTP_X_AMZ_TARGET") == "AmazonSSM.DescribeInstanceInformation":
                add_instance_information()
            return self._application(environ, start_response)
        request = Request(environ)
        try:
            status, answer = 200, _answer(request)
        except _RefusedError as error:
            status, answer = error.status, {"error": str(error)}
        except ScenarioError as error:
            status, answer = 400, {"error": str(error)}
        return Response(json.dumps(answer) + "\n", status, mimetype="application/json")(environ, start_response)


class _RefusedError(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def _answer(request: Request) -> dict[str, Any]:
    # Whoever may change what the emulator answers could mislead its clients.
    if not ipaddress.ip_address(request.remote_addr or "0.0.0.0").is_loopback:  # noqa: S104 - this is no loopback
        raise _RefusedError(403, "control calls are for clients on the emulator's own machine")
    call = f"{request.method} {request.path}"
    if call == "POST /lmconv/faults":
        return _add_faults(_read(request))
    if call == "DELETE /lmconv/faults":
        for backend in _find_backends():
            backend.faults.clear()
        return {}
    if call == "POST /lmconv/tasks":
        return _add_tasks(_read(request))
    if call == "GET /lmconv/calls":
        return _count_calls()
    match = re.fullmatch(r"POST /lmconv/tasks/(?P<task_id>[^/]+)/finish", call)
    if match:
        return _finish_task(match["task_id"], _read(request))
    raise _RefusedError(404, f"{call} is no control call")


def _read(request: Request) -> Reader:
    return Reader("the request", request.get_data() or b"{}")


def _add_faults(reader: Reader) -> dict[str, Any]:
    """Add faults, set a rate limit, or both: the keys are those of a scenario."""
    given = reader.read_members(reader.load(), "", optional=("faults", "rate_limit"))
    regions = licensemanager_backends[current_account()].regions
    faults = read_faults(reader, given.get("faults", []), "faults", regions)
    limit = read_rate_limit(reader, given["rate_limit"], "rate_limit") if "rate_limit" in given else None
    Scenario(faults=faults, rate_limit=limit).play()
    return {"added": len(faults)}


def _add_tasks(reader: Reader) -> dict[str, Any]:
    """Add tasks, all or none: the keys are those of a scenario."""
    given = reader.read_members(reader.load(), "", required=("tasks",), optional=("region",))
    backends = licensemanager_backends[current_account()]
    region = reader.read_choice(given.get("region", "us-east-1"), "region", backends.regions)
    tasks = read_tasks(reader, given["tasks"], "tasks", region, backends.regions)
    for index, task in enumerate(tasks):
        if task.arguments["task_id"] in backends[task.region].tasks:
            reader.fail(f"tasks[{index}].id", f"{json.dumps(task.arguments['task_id'])} exists already")
    return {"ids": [task.task_id for task in Scenario(tasks=tasks).play()]}


def _finish_task(task_id: str, reader: Reader) -> dict[str, Any]:
    """End a task, in every region that has one of this id unless it is said which."""
    given = reader.read_members(reader.load(), "", optional=("status", "message", "region"))
    status = reader.read_choice(given.get("status", SUCCEEDED), "status", STATUSES)
    message = reader.read_text(given["message"], "message") if "message" in given else None
    backends = licensemanager_backends[current_account()]
    if "region" in given:
        reader.read_choice(given["region"], "region", backends.regions)
    found = [
        backend
        for backend in _find_backends()
        if task_id in backend.tasks and given.get("region", backend.region_name) == backend.region_name
    ]
    if not found:
        raise _RefusedError(404, f"there is no task {json.dumps(task_id)}")
    for backend in found:
        backend.finish_task(task_id, status, message)
    return {}


def _count_calls() -> dict[str, Any]:
    """Count over all regions."""
    calls: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    injected: Counter[str] = Counter()
    for backend in _find_backends():
        calls.update(backend.calls.copy())
        refused.update(backend.refused.copy())
        injected.update(backend.faults.injected.copy())
    return {"calls": calls, "refused": refused, "injected": injected}


def _find_backends() -> list[LicenseManagerBackend]:
    """Return the backends that there are so far."""
    return list(licensemanager_backends[current_account()].values())
