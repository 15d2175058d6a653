"""Pulumi's Python dynamic providers, on the lifecycle: property bags in and out, and nothing decided here."""

import asyncio
import functools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import pulumi.dynamic
import pulumi.runtime
from pulumi.output import Unknown
from pulumi.runtime import rpc
from pulumi.runtime.config import CONFIG, get_config_env

from lmconv_resource.hosts.dynamic import patches
from lmconv_resource.hosts.engine import InitFailedError
from lmconv_resource.hosts.session import Session, explaining_last_settings, log
from lmconv_resource.lifecycle.controller import Controller
from lmconv_resource.lifecycle.operation import UNKNOWN, Operation, Stored, leaves
from lmconv_resource.lifecycle.state import TABLE
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.text import parse_duration

URN = "__urn"
"""The resource's own URN, for lines on its row. Names that begin with `__` are shown in no diff."""

TIMEOUTS = "__timeouts"
"""`opts.custom_timeouts`, which Pulumi does not hand on to dynamic providers."""

DRY = "__dry"
"""Whether this is a preview, which Pulumi tells programs only. A check takes it out: an update plan has all inputs."""

SECRETS = "__secrets"
"""Where the inputs are secret: paths such as `assume_role/0/external_id`."""

INSTANCES = "__instances"
"""A fleet's `instances`, which are an output of that name too."""

_PROVIDER = "__provider"

_RECORDED_INPUTS = ("profile", "assume_role", SECRETS)
"""Inputs that the record holds too: a refresh hands over the record only, and has to call AWS the same way."""


class LookUps:
    """What the look-ups of a program share: a session, and threads that keep them off the program's event loop."""

    def __init__(self) -> None:
        # They are not spread as waits are: a program asks once and wants its answers.
        policy = PollingPolicy(fastest_gap_seconds=0.01)
        self.session = Session(pulumi.runtime.get_config, policy=policy, follows_environment=True)
        self.session.setting_names = lambda: _without_own_project({**get_config_env(), **CONFIG.get()})
        self.threads = ThreadPoolExecutor(32, thread_name_prefix="lmconv-look-up")  # each mostly waits for AWS


look_ups = LookUps()
"""Those of this process, if it is a program's own: Pulumi starts no provider there."""


def _without_own_project(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of settings, without those of a project that is itself called as AWS's settings are."""
    project = os.environ.get("PULUMI_PROJECT") or pulumi.runtime.settings.get_project()
    return tuple(name for name in names if name.partition(":")[0] != project)


@functools.cache
def _process_session() -> Session:
    """Return the one session; in Pulumi's plugin process with the engine, and with what the plugin lacks patched in.

    Pulumi configures one provider at a time.
    """
    module = patches.plugin_module()
    if module is None or len(sys.argv) < 2:
        return Session()
    session = Session.on_engine(sys.argv[1])
    on_cancel = functools.partial(session.cancellation.set, "the update was cancelled")
    for missing in patches.apply(module, on_cancel, session.secret_texts.mask):
        log.warning(missing)
    return session


class DynamicProvider(pulumi.dynamic.ResourceProvider):
    """The base of the providers. One object serves all resources of a class, from many threads at once."""

    # What is serialized is a reference to the class, about 80 bytes with nothing worth hiding; as a secret it would
    # only make every state depend on the secrets provider.
    serialize_as_secret_always = False

    controller: ClassVar[Controller[Any, Any]]
    session: Session
    """No attribute of the object before `configure`: the bytes of `__provider` would change with it."""

    def configure(self, req: pulumi.dynamic.ConfigureRequest) -> None:
        """Take the stack's configuration, and join this process's session."""
        # `Config` has no public way to the names (pulumi 3.260 to 3.272: `pulumi/dynamic/config.py`). Without them a
        # misspelled setting is passed over, as by every dynamic provider.
        names = _without_own_project(getattr(req.config, "_props", ()))
        self.session = _process_session()
        self.session.get_config = req.config.get
        self.session.setting_names = lambda: names

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> pulumi.dynamic.CheckResult:
        """Fill in the defaults and say what is wrong with the inputs."""
        self.session.is_preview = news.pop(DRY, None) is True
        with self._operation(news) as op:
            checked = self.controller.check(op, self._to_properties(_olds), self._to_properties(news))
        # The engine shows the value of a property that is named, secret or not.
        secret = {path.partition("/")[0] for path in news.get(SECRETS) or ()}
        mask = self.session.secret_texts.mask
        failures = [
            pulumi.dynamic.CheckFailure("" if name in secret else name, mask(why)) for name, why in checked.failures
        ]
        defaults = {name: rpc.UNKNOWN if value is UNKNOWN else value for name, value in checked.defaults.items()}
        return pulumi.dynamic.CheckResult({**news, **defaults}, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> pulumi.dynamic.DiffResult:
        """Return what the program asks for that the record does not have."""
        with self._operation({URN: _olds.get(URN), **_news}) as op:
            diff = self.controller.diff(op, _id, self._parse_record(_olds), self._parse_inputs(_news))
        changes = diff.has_changes or _access_changed(_olds, _news)
        return pulumi.dynamic.DiffResult(changes=changes, replaces=list(diff.replaces) or None)

    def create(self, props: dict[str, Any]) -> pulumi.dynamic.CreateResult:
        """Make the resource, and wait for it if asked to."""
        with self._operation(props, "create") as op:
            created = self.controller.create(op, self._parse_inputs(props))
            return pulumi.dynamic.CreateResult(created.id, self._to_outputs(created, created.id, props))

    def read(self, id_: str, props: dict[str, Any]) -> pulumi.dynamic.ReadResult:
        """Look the task up for a refresh, where `props` is the record, or for a `get`, where it is the inputs.

        A refresh leaves the recorded inputs as they are: they are what the program said.
        """
        properties = self._to_properties(props)
        state = self.controller.recorded_state(properties)
        with self._operation(props) as op, explaining_last_settings(None if state is None else properties):
            read = self.controller.read(op, id_, state, self._parse_inputs(props))
            inputs = None if read.inputs is None else {**props, **read.inputs}
            return pulumi.dynamic.ReadResult(id_, self._to_outputs(read, id_, props), inputs)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> pulumi.dynamic.UpdateResult:
        """Look the task up again, or wait for its end, and record it."""
        with self._operation(_news, "update") as op:
            updated = self.controller.update(op, _id, self._parse_record(_olds), self._parse_inputs(_news))
            return pulumi.dynamic.UpdateResult(self._to_outputs(updated, _id, _news))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Forget the task. AWS has no call that undoes or cancels a conversion."""
        with self._operation(_props) as op:
            self.controller.delete(op, _id, self._parse_record(_props), self._parse_inputs(_props))

    def _operation(self, props: Mapping[str, Any], method: str = "") -> AbstractContextManager[Operation]:
        """Return an operation on the resource with these inputs, which may say how long the method may take."""
        seconds = parse_duration((props.get(TIMEOUTS) or {}).get(method, ""))  # Pulumi refuses what is no duration
        return self.session.operation(props.get(URN), seconds or None, is_preview=self.session.is_preview)

    def _parse_record(self, props: Mapping[str, Any]) -> Any:
        return self.controller.state.from_outputs(self._to_properties(props))

    def _parse_inputs(self, props: Mapping[str, Any]) -> Any:
        return self.controller.inputs.parse(self._to_properties(props))

    def _to_properties(self, bag: Mapping[str, Any]) -> dict[str, object]:
        """Return a property bag with each unknown value, at any depth, as `UNKNOWN`; no message shows its secrets."""
        properties = {name: _to_plain(value) for name, value in bag.items() if name != _PROVIDER}
        if INSTANCES in properties:
            properties["instances"] = properties.pop(INSTANCES)
        self.session.secret_texts.add(_secret_texts_of(properties))
        return properties

    def _to_outputs(self, result: Stored[Any], id_: str, props: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is recorded of a result, or raise the error with which it ended, which hands that on.

        It is written then as Pulumi's plugin writes what a method returns, to which it adds `__provider` itself.
        """
        kept = {name: props[name] for name in _RECORDED_INPUTS if props.get(name) is not None}
        outputs = {**result.state.to_outputs(), **kept, URN: props.get(URN)}
        if result.error:
            properties = asyncio.run(rpc.serialize_properties({**outputs, _PROVIDER: props.get(_PROVIDER)}, {}))
            raise InitFailedError(id_, properties, self.session.secret_texts.mask(str(result.error))) from result.error
        return outputs


def _access_changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether the record holds another way to AWS, or an older URN: an alias, another parent or stack's name."""
    old, new = olds.get(URN), news.get(URN)
    is_renamed = isinstance(old, str) and isinstance(new, str) and _to_plain(new) is not UNKNOWN and old != new
    return is_renamed or any(olds.get(name) != news.get(name) for name in _RECORDED_INPUTS)


def _secret_texts_of(properties: Mapping[str, object]) -> Iterator[str]:
    paths, rows = properties.get(SECRETS), properties.get(TABLE)
    for path in paths if isinstance(paths, list) else ():
        names = str(path).split("/")
        yield from _texts_at(properties, names)
        for row in rows.values() if isinstance(rows, Mapping) else ():  # a record has what was given by its rows
            yield from _texts_at(row, names[2:] if names[0] == "instances" else names)


def _texts_at(value: Any, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            value = value.get(name) if isinstance(value, Mapping) else None
    return (leaf for leaf in leaves(value) if isinstance(leaf, str))


def _to_plain(value: Any) -> object:
    if isinstance(value, Mapping):
        return {name: _to_plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_to_plain(entry) for entry in value]
    # The SDK hands on an object at the top and the text that stands for it on the wire elsewhere.
    return UNKNOWN if isinstance(value, Unknown) or (isinstance(value, str) and value == rpc.UNKNOWN) else value
