"""Server reflection: what grpcurl and its like ask for, in both of its versions."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import grpc

from tiltyard_engine.grpc.messages import POOL, SERVICES, Message, message_class
from tiltyard_engine.grpc.transport import Context

VERSIONS = ("grpc.reflection.v1", "grpc.reflection.v1alpha")


class Reflection:
    """Answers for one version of the service."""

    def __init__(self, package: str, draining: asyncio.Event) -> None:
        self.service = f"{package}.ServerReflection"
        self._request = message_class(f"{self.service}Request")
        self._response = message_class(f"{self.service}Response")
        self._draining = draining

    def handlers(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """A handler for the only method."""
        handler = grpc.stream_stream_rpc_method_handler(
            self._answer_all, self._request.FromString, self._response.SerializeToString
        )
        return {"ServerReflectionInfo": handler}

    async def _answer_all(self, _requests: object, context: Context) -> AsyncIterator[Message]:
        """Answer one question after the other, until the client or the engine ends."""
        ending = asyncio.ensure_future(self._draining.wait())
        try:
            while True:
                reading = asyncio.ensure_future(context.read())
                await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    return
                request = reading.result()
                if request is grpc.aio.EOF:
                    return
                yield self._answer(request)
        finally:
            ending.cancel()

    def _answer(self, request: Message) -> Message:
        answer = self._response(valid_host=request.host, original_request=request)
        question = request.WhichOneof("message_request")
        try:
            if question == "list_services":
                for name in sorted(SERVICES):
                    answer.list_services_response.service.add(name=name)
            elif question == "file_by_filename":
                _tell(answer, POOL.FindFileByName(request.file_by_filename))
            elif question == "file_containing_symbol":
                _tell(answer, _file_of(request.file_containing_symbol))
            elif question == "all_extension_numbers_of_type":
                name = request.all_extension_numbers_of_type
                POOL.FindMessageTypeByName(name)
                answer.all_extension_numbers_response.base_type_name = name
            else:
                _tell_nothing(answer, "extension here")
        except KeyError as error:
            _tell_nothing(answer, str(error)[:200])
        return answer


def _file_of(symbol: str) -> Message:
    try:
        return POOL.FindFileContainingSymbol(symbol)
    except KeyError:  # some versions of protobuf do not find methods
        service, _, method = symbol.rpartition(".")
        found = POOL.FindServiceByName(service)
        return found.methods_by_name[method].containing_service.file


def _tell_nothing(answer: Message, what: str) -> None:
    answer.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
    answer.error_response.error_message = f"there is no {what}"


def _tell(answer: Message, file: Message) -> None:
    answer.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)
