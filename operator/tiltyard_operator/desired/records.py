"""What an engine's pod needs to write records: a Secret, and room for what waits for a store."""

from tiltyard_api.artifacts import SECRETS
from tiltyard_api.plan import Plan
from tiltyard_api.recordfiles import BACKLOG
from tiltyard_api.v1alpha1.volumes import OUR_VOLUMES
from tiltyard_operator.desired.pod import mount
from tiltyard_operator.kinds import Object

VOLUME = "records"
STATE = 64
"""MiB for counters and routing."""

CLOSING = 128
"""MiB for files that are being closed: twice the longest."""


def state_size(plan: Plan) -> str:
    """Give the room of the engine's own folder."""
    stored = plan.records and not plan.records.uri.startswith(("stdout:", "file:"))
    return f"{STATE + CLOSING + BACKLOG if stored else STATE}Mi"


def sink_volumes(plan: Plan) -> list[Object]:
    """Give the Secret of the sink, which the engine alone reads."""
    secret = plan.records.secret if plan.records else None
    if secret is None:
        return []
    source = {"secretName": secret, "defaultMode": 0o440}
    return [{"name": f"{OUR_VOLUMES}{VOLUME}", "secret": source}]


def sink_mounts(plan: Plan) -> list[Object]:
    """Where the engine finds it."""
    secret = plan.records.secret if plan.records else None
    return [mount(VOLUME, f"{SECRETS}/{secret}", read_only=True)] if secret else []
