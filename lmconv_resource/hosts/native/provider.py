"""The plugin's service, on the lifecycle: messages in and out, and nothing decided here.

It is the raw servicer of Pulumi's wire format (https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto)
and not `pulumi.provider.experimental`, which can't record a resource that failed halfway.
"""

import functools
import importlib.metadata
import traceback
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from lmconv_resource.errors import LIST_ACTION, LicenseConversionError, RequestRefusedError, Subject
from lmconv_resource.hosts.engine import InitFailedError
from lmconv_resource.hosts.native import SCHEMA_PATH, SETTING_PREFIX, resources, wire
from lmconv_resource.hosts.native.wire import Bag, MalformedError, Spec
from lmconv_resource.hosts.session import Session, explaining_last_settings
from lmconv_resource.lifecycle.controller import Controller
from lmconv_resource.lifecycle.operation import CheckFailure, Diff, Operation, Properties, Stored, has_unknown
from lmconv_resource.lifecycle.track import FUNCTIONS, read_tasks
from lmconv_resource.models import select_newest
from lmconv_resource.text import Wording, to_camel, to_snake, using

ServicerT = TypeVar("ServicerT", bound=type)


def plain_errors(servicer: ServicerT) -> ServicerT:
    """Have the errors of a servicer's methods reach the user as they are meant to.

    What a user can act on is its one sentence. A bug keeps its traceback, with a status that tells the engine that
    nothing is known of the resource.
    """

    def plain(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def serve(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
            try:
                with using(self.wording):
                    return method(self, request, context)
            except LicenseConversionError as error:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, self.mask(str(error)))
            except MalformedError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.mask(str(error)))
            except InitFailedError as error:
                context.abort_with_status(error)
            except Exception:  # noqa: BLE001 -- nothing is lost: the engine is sent all of it
                context.abort(grpc.StatusCode.UNKNOWN, self.mask(traceback.format_exc()))

        return serve

    for name, method in list(vars(servicer).items()):
        if name[0].isupper():  # Pulumi's names
            setattr(servicer, name, plain(method))
    return servicer


@plain_errors
class NativeProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves Pulumi's engine, from many threads at once."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.wording = Wording(is_python=False, prefix=SETTING_PREFIX)

    # -- the plugin itself ---------------------------------------------------------------------------------------------

    def Handshake(self, request: Any, _: Any) -> Any:  # noqa: N802 -- here and below: Pulumi's names
        """Return what is understood: secrets, and no outputs that carry their dependencies."""
        if self.session.engine is None and request.engine_address:
            self._attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)

    def Attach(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Serve another engine, for a plugin that runs in a debugger."""
        self._attach(request.address)
        return Empty()

    def GetPluginInfo(self, _: Any, _context: Any) -> Any:  # noqa: N802
        """Return the plugin's version, which is the distribution's."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("lmconv-resource"))

    def GetSchema(self, _: Any, _context: Any) -> Any:  # noqa: N802
        """Return the package's schema."""
        return provider_pb2.GetSchemaResponse(schema=SCHEMA_PATH.read_text(encoding="utf-8"))

    def Cancel(self, _: Any, _context: Any) -> Any:  # noqa: N802
        """End all that is under way."""
        self.session.cancellation.set("the update was cancelled")
        return Empty()

    # -- its settings --------------------------------------------------------------------------------------------------

    def CheckConfig(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Return what is wrong with the settings."""
        settings = self._read_settings(request.news)
        self.wording = self.wording._replace(provider=resources.explicit_provider(request.urn))
        with using(self.wording):
            found = resources.check_settings(settings.values, self.session)
        inputs = wire.with_secrets(request.news, resources.SETTINGS_SCHEMA)
        return self._to_check_response(inputs, found, settings.secrets)

    def DiffConfig(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Return which settings differ. None replaces the provider: a resource's region is an input of its own."""
        old, new = (self._read_settings(each).values for each in (request.old_inputs, request.news))
        changed = tuple(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
        return resources.to_diff_response(Diff(changed), old, new)

    def Configure(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Take the settings."""
        provider = resources.explicit_provider(request.urn) or self.wording.provider
        self.wording = self.wording._replace(provider=provider)
        self.session.get_config = resources.to_config_get(self._read_settings(request.args).values)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True, supportsPreview=True)

    # -- its resources -------------------------------------------------------------------------------------------------

    def Check(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Fill in the defaults and say what is wrong with the inputs."""
        controller, spec = _controller_of(request)
        known = spec["inputProperties"]
        olds, news = self._read_inputs(spec, request.olds), self._read(request.news, known)
        if news.misnamed:
            return self._to_check_response(request.news, news.misnamed, news.secrets)
        with self.session.operation(request.urn) as op:
            checked = controller.check(op, olds.values, news.values)
        inputs = wire.with_secrets(request.news, known)
        inputs.MergeFrom(wire.write(checked.defaults, resources.secret_names(checked.defaults, news)))
        # The rules say it better, but take more: a role alone, where the schema has a list.
        wrong = checked.failures or ((CheckFailure("", news.misshapen),) if news.misshapen else ())
        return self._to_check_response(inputs, wrong, news.secrets)

    def Diff(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Return what the program asks for that the record does not have."""
        controller, spec = _controller_of(request)
        olds = self._read_record(spec, request.olds)
        news, old_inputs = (self._read_inputs(spec, bag) for bag in (request.news, request.old_inputs))
        with self.session.operation(request.urn) as op:
            state, inputs = controller.state.from_outputs(olds.values), controller.inputs.parse(news.values)
            diff = controller.diff(op, request.id, state, inputs)
        return resources.to_diff_response(diff, old_inputs.values, news.values)

    def Create(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Make the resource, and wait for it if asked to."""
        controller, spec = _controller_of(request)
        given = self._read_inputs(spec, request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=self._preview(request, None, given))
        inputs = controller.parse_certain(given.values)
        with self.session.operation(request.urn, request.timeout or None) as op:
            created = controller.create(op, inputs)
            return provider_pb2.CreateResponse(id=created.id, **self._to_answer(created, created.id, given))

    def Read(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Look the task up: for a refresh, where there is a record; for an import or a `get`, where there is none."""
        controller, spec = _controller_of(request)
        record, given = self._read_record(spec, request.properties), self._read_inputs(spec, request.inputs)
        state = controller.recorded_state(record.values)
        is_recorded = state is not None
        inputs = given.values if is_recorded else {**record.values, **given.values}
        with self.session.operation(request.urn, request.timeout or None) as op:
            task_id = request.id
            if not is_recorded and task_id.startswith("arn:"):
                task_id, inputs = self._read_newest(op, task_id, inputs)
            with explaining_last_settings(inputs if is_recorded else None):
                read = controller.read(op, task_id, state, controller.inputs.parse(inputs))
        secret = Bag({}, record.secrets | given.secrets, record.secret_texts | given.secret_texts)
        wanted = request.inputs
        if not is_recorded:
            imported = resources.imported_inputs(spec, inputs, read.inputs, read.state.to_outputs())
            wanted = wire.write(imported, secret.secrets)
        return provider_pb2.ReadResponse(id=task_id, inputs=wanted, **self._to_answer(read, task_id, secret))

    def List(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Return the ids of the account's tasks in the region, for an import. Each is that of either resource."""
        inputs = wire.spec_of("resources", request.token).get("listInputs")
        if inputs is None:
            raise MalformedError(f"{request.token} is not listed: it has no id in AWS.")
        query = self._read(request.query, inputs["properties"])
        if has_unknown(query.values):
            return iter([provider_pb2.ListResponse(computed=provider_pb2.ListResponse.Computed())])
        _refuse_wrong(request.token, inputs, query)
        with self.session.operation(None) as op:
            tasks = read_tasks(op, query.values)
        ids = [task.task_id for task in tasks][: request.limit if request.limit > 0 else None]
        return iter([provider_pb2.ListResponse(result=provider_pb2.ListResponse.Result(id=id)) for id in ids])

    def Update(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Look the task up again, or wait for its end, and record it."""
        controller, spec = _controller_of(request)
        olds, news = self._read_record(spec, request.olds), self._read_inputs(spec, request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=self._preview(request, olds, news))
        state, inputs = controller.state.from_outputs(olds.values), controller.parse_certain(news.values)
        with self.session.operation(request.urn, request.timeout or None) as op:
            updated = controller.update(op, request.id, state, inputs)
            return provider_pb2.UpdateResponse(**self._to_answer(updated, request.id, news))

    def Delete(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Forget the task. AWS has no call that undoes or cancels a conversion."""
        controller, spec = _controller_of(request)
        record = self._read_record(spec, request.properties)
        with self.session.operation(request.urn, request.timeout or None) as op:
            given = self._read(request.old_inputs, resources.inputs_of(spec))
            inputs = controller.inputs.parse({**record.values, **given.values})
            controller.delete(op, request.id, controller.state.from_outputs(record.values), inputs)
        return Empty()

    def Invoke(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Look tasks up, managing nothing."""
        inputs = wire.spec_of("functions", request.tok)["inputs"]
        args = self._read(request.args, inputs["properties"])
        _refuse_wrong(request.tok, inputs, args)
        with self.session.operation(None) as op:
            found = FUNCTIONS[request.tok](op, args.values)
        return provider_pb2.InvokeResponse(**{"return": wire.write(found)})

    # -- what they share -----------------------------------------------------------------------------------------------

    def _attach(self, address: str) -> None:
        # Of an engine that did not start this process: when it is gone, the next one may attach.
        self.session = Session.on_engine(address, ends_process=False)

    def mask(self, text: str) -> str:
        """Return a message as the user may see it."""
        return self.session.secret_texts.mask(text)

    def _read(self, struct: Struct, known: Spec, spell: Callable[[str], str] = to_snake) -> Bag:
        bag = wire.read(struct, known, spell)
        self.session.secret_texts.add(bag.secret_texts)
        return bag

    def _read_settings(self, struct: Struct) -> Bag:
        bag = self._read(struct, resources.SETTINGS_SCHEMA, str)
        bag.values = {key: resources.to_one_form(key, value) for key, value in bag.values.items()}
        return bag

    def _read_inputs(self, spec: Spec, struct: Struct) -> Bag:
        bag = self._read(struct, resources.inputs_of(spec))
        if bag.misshapen:
            raise MalformedError(f"The inputs: {bag.misshapen}. Correct them in the program.")
        return bag

    def _read_record(self, spec: Spec, struct: Struct) -> Bag:
        bag = self._read(struct, resources.record_of(spec))
        if bag.misshapen:
            remedy = "Restore the stack's state from a backup"
            raise MalformedError(f"The resource's record: {bag.misshapen}. {remedy}.")
        return bag

    def _to_check_response(self, inputs: Struct, failures: Iterable[CheckFailure], secrets: Collection[str]) -> Any:
        response = provider_pb2.CheckResponse(inputs=inputs)
        for name, reason in failures:
            # The engine shows the value of a property that is named, secret or not.
            response.failures.add(property="" if name in secrets else to_camel(name), reason=self.mask(reason))
        return response

    def _preview(self, request: Any, record: Bag | None, given: Bag) -> Struct:
        controller, spec = _controller_of(request)
        state = controller.state.from_outputs(record.values) if record else None
        with self.session.operation(request.urn, is_preview=True) as op:
            controller.preview(op, state, controller.inputs.parse(given.values))
        known = resources.preview_outputs(spec, given.values, record.values if record else None)
        return resources.write_outputs(known, given)

    def _to_answer(self, result: Stored[Any], id: str, given: Bag) -> dict[str, Any]:
        """Return what is recorded of a result, or raise the error with which it ended, which hands that on.

        What runs is to be read before a preview shows what becomes of it.
        """
        outputs = result.state.to_outputs()
        written = resources.write_outputs(outputs, given)
        if result.error:
            raise InitFailedError(id, written, self.mask(str(result.error))) from result.error
        return {"properties": written, "refresh_before_update": outputs.get("is_complete") is False}

    def _read_newest(self, op: Operation, resource_arn: str, given: Properties) -> tuple[str, dict[str, object]]:
        """Return the newest task of a resource that is imported by its ARN, and the inputs that name it so."""
        newest = select_newest(read_tasks(op, {**given, "resource_arns": [resource_arn]}))
        if newest is None:
            subject = Subject(LIST_ACTION, None, resource_arn.split(":")[3], resource_arn)
            raise RequestRefusedError(subject, "AWS shows none", "Check the ARN and the account of the credentials")
        return newest.task_id, {**given, "resource_arn": resource_arn, "region": newest.region}


def _controller_of(request: Any) -> tuple[Controller[Any, Any], Spec]:
    token = request.type or request.urn.rpartition("::")[0].rpartition("::")[2].rpartition("$")[2]
    spec = wire.spec_of("resources", token)
    return resources.RESOURCES[token], spec


def _refuse_wrong(token: str, inputs: Spec, args: Bag) -> None:
    given = {to_camel(name): value for name, value in args.values.items()}
    missing = (f"{name} is missing" for name in inputs.get("required", ()) if given.get(name) is None)
    unknown = (f"{name} is not known yet" for name, value in given.items() if has_unknown(value))
    for reason in filter(None, (args.misshapen, *(each.reason for each in args.misnamed), *missing, *unknown)):
        raise MalformedError(f"{token}: {reason}. Correct it in the program.")
