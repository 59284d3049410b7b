"""Server reflection: what grpcurl and its like ask for, in both of its versions."""

from collections.abc import Mapping

from tiltyard_engine.grpc.exchange import Exchange, Method
from tiltyard_engine.grpc.messages import POOL, SERVICES, Message, message_class
from tiltyard_engine.grpc.metadata import Code
from tiltyard_engine.grpc.unary import parsed

VERSIONS = ("grpc.reflection.v1", "grpc.reflection.v1alpha")


class Reflection:
    """Answers for one version of the service."""

    def __init__(self, package: str) -> None:
        self.service = f"{package}.ServerReflection"
        self._request = message_class(f"{self.service}Request")
        self._response = message_class(f"{self.service}Response")

    def methods(self) -> Mapping[str, Method]:
        """What is done for the only method: one question is answered after the other."""
        handle = parsed(self._request, self._reply)
        return {"ServerReflectionInfo": Method(handle, many=True)}

    def _reply(self, exchange: Exchange, request: Message) -> None:
        exchange.send(self._answer(request).SerializeToString())

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
    answer.error_response.error_code = Code.NOT_FOUND
    answer.error_response.error_message = f"there is no {what}"


def _tell(answer: Message, file: Message) -> None:
    answer.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)
