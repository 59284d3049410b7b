"""An engine with a canary, told its stages as an operator tells them, and what its workers do."""

import signal

from bare_engines import Compiled, Engine, Workshop
from loopback import Answer, Client
from records import post
from served_models import failing, scaled
from tiltyard_api.evidence import CanaryReport
from tiltyard_api.routing import CanaryRouting, GuardRouting
from tiltyard_api.v1alpha1.stage import Guard
from tiltyard_core.draws import canary_ends, keyed_draw

PIPELINE = "ramped"
SALT = f"default/{PIPELINE}/swap"
GUARDS = GuardRouting(alpha=0.01 / 2 / 2 / 10, margins={Guard.ERRORS: 0.5, Guard.INVALID: 0.5})
"""An engine's own, with two guards and ten stages."""


def ramped(workshop: Workshop, candidate: bytes | None = None) -> Compiled:
    """Compile a canary of `old`, which serves, and `new`, which fails on trouble."""
    canary = {
        "stable": "old",
        "candidate": "new",
        "hashKey": {"field": "user"},
        "ramp": {"linear": {"duration": "1h"}},
    }
    models = {"old": scaled(1), "new": candidate or failing(2)}
    return workshop.compile(PIPELINE, models, [{"name": "swap", "canary": canary}])


def stage(weight: float, number: int = 1, run: str = "run", **more: object) -> CanaryRouting:
    """Say what is to be in force."""
    fields = {"run": run, "stage": number, "weight": weight, "guards": GUARDS, **more}
    return CanaryRouting.model_validate(fields)


def put(engine: Engine, pipeline: Compiled, revision: int, routing: CanaryRouting) -> None:
    """Replace the file of the table, and say so."""
    changes = {"steps": {"swap": routing}, "revision": revision}
    pipeline.write_table(pipeline.table.model_copy(update=changes).sealed())
    engine.process.send_signal(signal.SIGHUP)


def ask(client: Client, user: object, x: float = 1, variant: str = "") -> Answer:
    """Send one row of a user."""
    headers = {"X-Tiltyard-Variant": f"swap={variant}"} if variant else {}
    client.send(post([{"x": x, "user": user}], PIPELINE, headers))
    return client.answer()


def served_by(answer: Answer) -> str:
    """Which model answered; an error is the candidate's, since no other fails."""
    if answer.status == 500:
        return "new"
    assert answer.status == 200, answer
    return answer.headers["X-Tiltyard-Variant"].removeprefix("swap=")


def predicted(user: str, weight: float) -> str:
    """Which model answers a user, as any client can tell."""
    return "new" if keyed_draw(SALT, user) < canary_ends(weight)[0] else "old"


def told(engine: Engine) -> CanaryReport:
    """What the engine reports of the canary."""
    (step,) = engine.status()["steps"]
    return CanaryReport.model_validate(step["canary"])
