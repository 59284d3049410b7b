"""Calls of one message, parsed."""

from collections.abc import Callable

from tiltyard_api.reasons import Reason
from tiltyard_engine.errors import Refusal
from tiltyard_engine.grpc.exchange import Exchange, Handle
from tiltyard_engine.grpc.messages import DecodeError, Message, MessageClass


def read(of: MessageClass, body: bytes) -> Message:
    """Parse a message.

    Raises:
        Refusal: it is none of that class.

    """
    try:
        return of.FromString(body)
    except DecodeError as error:
        message = f"the message is no {of.DESCRIPTOR.name}: {error}"
        raise Refusal(Reason.MALFORMED_BODY, message) from error


def parsed(of: MessageClass, handle: Callable[[Exchange, Message], None]) -> Handle:
    """Handle messages of a class; what is none, or is refused, ends the call."""

    def handle_bytes(exchange: Exchange, body: bytes) -> None:
        try:
            handle(exchange, read(of, body))
        except Refusal as refusal:
            exchange.refuse(refusal)

    return handle_bytes


def unary(of: MessageClass, answer: Callable[[Message], Message]) -> Handle:
    """Answer a message with what a function makes of it."""

    def handle(exchange: Exchange, message: Message) -> None:
        exchange.answer(answer(message).SerializeToString())

    return parsed(of, handle)
