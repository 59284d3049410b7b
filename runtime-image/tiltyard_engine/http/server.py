"""HTTP/1.1 on sockets."""

from tiltyard_engine.http.connection import Connection
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.listener import Listener
from tiltyard_engine.http.message import Handler
from tiltyard_engine.http.service import Refuse, Service


class Server(Listener):
    """Answers requests.

    Args:
        handler: called once per whole request, in the loop's thread.
        refuse: gives what the server itself refuses the application's form.
        limits: how much one client may ask.

    """

    def __init__(self, handler: Handler, refuse: Refuse, limits: Limits) -> None:
        service = Service(handler, refuse, limits)
        super().__init__(service, lambda: Connection(service))
