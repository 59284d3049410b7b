"""Starts the trials that are due."""

from collections.abc import Iterable

from tiltyard_operator.desired.resolving import Place, resolve_job
from tiltyard_operator.errors import Conflict, Refused
from tiltyard_operator.findings import Finding
from tiltyard_operator.settings import Settings
from tiltyard_operator.verdicts import Verdict
from tiltyard_operator.writing import Writer, verdict


def start_trials(
    writer: Writer, findings: Iterable[Finding], place: Place, settings: Settings
) -> Verdict | None:
    """Start what is due, and say what cannot be started."""
    jobs = {}
    for one in findings:
        if one.spent:
            writer.remove(one.spent.obj)  # the next one has its name
        if one.trial:
            job = resolve_job(writer.owner, one.trial, place, settings)
            jobs[job["metadata"]["name"]] = job
    for job in jobs.values():
        try:
            writer.cluster.create(job)
        except Refused as error:
            return verdict([f"Job {job['metadata']['name']}: {error.message}"])
        except Conflict:
            taken = writer.taken([writer.pair(job)])
            if taken:
                return taken
            raise
    return None
