"""An engine with two variants that follows a ConfigMap, and what its workers do."""

from typing import Any

from bare_engines import Compiled, Engine, Workshop
from loopback import Client
from records import post
from served_models import scaled
from tiltyard_api.routing import RoutingTable
from waiting import eventually

WORKERS = 2
RECORDS = [{"x": 1}]


def two_variants(workshop: Workshop) -> Compiled:
    """Compile a split of `a` and `b`, of which `a` gets everything."""
    variants = [{"model": "a", "weight": 1}, {"model": "b", "weight": 0}]
    models = {"a": scaled(2), "b": scaled(3)}
    return workshop.compile("watched", models, [{"name": "price", "split": {"variants": variants}}])


def config(*tables: RoutingTable) -> dict[str, str]:
    """The data of a routing ConfigMap."""
    return {f"{table.plan}.json": table.model_dump_json(by_alias=True) for table in tables}


def all_to(pipeline: Compiled, variant: str, revision: int) -> RoutingTable:
    """A table by which one variant gets everything."""
    return pipeline.weigh("price", revision, **{one: float(one == variant) for one in "ab"})


def clients_of_every_worker(engine: Engine) -> list[Client]:
    """One connection to each worker."""
    clients: dict[str, Client] = {}
    for _ in range(200):
        client = engine.connect()
        client.send(post(RECORDS, "watched"))
        worker = client.answer().headers["X-Tiltyard-Inference-Id"][:16]
        clients.setdefault(worker, client)
        if len(clients) == WORKERS:
            return list(clients.values())
    raise AssertionError(f"{len(clients)} of {WORKERS} workers answer")


def variants(clients: list[Client]) -> set[str]:
    """Which variants answer, one request to each client."""
    for client in clients:
        client.send(post(RECORDS, "watched"))
    answers = [client.answer() for client in clients]
    assert {answer.status for answer in answers} == {200}
    return {answer.headers["X-Tiltyard-Variant"].removeprefix("price=") for answer in answers}


def routing(engine: Engine) -> dict[str, Any]:
    """What the status says of the table in force."""
    return dict(engine.status()["routing"])


def wait_for(engine: Engine, table: RoutingTable) -> None:
    """Wait until every worker says that it runs a table."""
    eventually(lambda: routing(engine)["hash"] == table.hash)


def watch_up(engine: Engine) -> float:
    """Whether the engine says that it hears the API server."""
    return engine.metric("tiltyard_routing_watch_up", pipeline="watched")
