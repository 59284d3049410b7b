"""What the operator is told of fetching reaches those who fetch, in words that they know."""

import argparse
import ipaddress
from dataclasses import replace

from makers import make_document, make_resolved
from sights import NOW, SETTINGS, as_stored, decided, job, objects_of, trial_pod
from tiltyard_api.manifest import read_pipeline
from tiltyard_engine import fetch
from tiltyard_operator.desired.resolving import (
    Place,
    Trial,
    place_of_models,
    resolve_job,
    resolve_key,
)
from tiltyard_operator.kinds import Object

FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}
TOLD = replace(
    SETTINGS,
    fetch_addresses=("127.0.0.0/8", "::1/128"),
    fetch_size="40Gi",
    fetch_time="1h",
    trial_time="90s",
)


def entry_of(document: Object) -> Trial:
    entry = read_pipeline(document).spec.models[0].entry
    assert entry
    return Trial(entry)


def understood(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    fetch.options(parser)
    return parser.parse_known_args(arguments)[0]


def test_jobs_are_told() -> None:
    seen, _ = decided(make_document())
    trial = resolve_job(seen.owner, entry_of(seen.document), Place(1, "1Gi", {}), TOLD)
    (container,) = trial["spec"]["template"]["spec"]["containers"]
    said = understood(container["args"])
    assert said.allow_address == [ipaddress.ip_network(one) for one in TOLD.fetch_addresses]
    assert (said.max_size, said.timeout, said.trial_timeout) == (40 << 30, 3600, 90)
    assert trial["spec"]["activeDeadlineSeconds"] == 3600 + 90 + 60


def test_jobs_may_use_what_pods_may_but_wait_for_no_more_than_a_quarter_of_a_core() -> None:
    seen, _ = decided(make_document())
    for cpus, asked, most in ((2, "250m", "2000m"), (0.1, "100m", "100m")):
        job = resolve_job(seen.owner, entry_of(seen.document), Place(cpus, "1Gi", {}), TOLD)
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["resources"] == {
            "requests": {"cpu": asked, "memory": "1Gi"},
            "limits": {"cpu": most, "memory": "1Gi"},
        }


def test_jobs_of_models_pull_with_the_secrets_that_are_named() -> None:
    seen, _ = decided(make_document())
    told = replace(SETTINGS, resolve_pull_secrets=("registry", "mirror"))
    for settings, wanted in ((told, [{"name": "registry"}, {"name": "mirror"}]), (SETTINGS, None)):
        place = place_of_models(settings)
        job = resolve_job(seen.owner, entry_of(seen.document), place, settings)
        assert job["spec"]["template"]["spec"].get("imagePullSecrets") == wanted


def test_pods_are_told_the_same() -> None:
    seen, decision = decided(make_document(), facts=FACTS)
    deployment = objects_of(seen, decision, settings=TOLD)[-1]
    (init,) = deployment["spec"]["template"]["spec"]["initContainers"]
    trial = resolve_job(seen.owner, entry_of(seen.document), Place(1, "1Gi", {}), TOLD)
    (container,) = trial["spec"]["template"]["spec"]["containers"]
    assert understood(init["command"]) == understood(container["args"])


def test_without_settings_nothing_is_said_and_pods_stay_as_they_were() -> None:
    seen, decision = decided(make_document(), facts=FACTS)
    deployment = objects_of(seen, decision)[-1]
    (init,) = deployment["spec"]["template"]["spec"]["initContainers"]
    assert init["command"][-2:] == ["--into", "/var/lib/tiltyard/models"]
    assert understood(init["command"]) == understood([])


def test_a_job_that_took_too_long_says_how_long_it_had_and_what_allows_more() -> None:
    document = make_document()
    one = job("job", resolve_key(entry_of(document).entry), ended=False)
    one["spec"] = {"activeDeadlineSeconds": 600}
    failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
    one["status"] = {"conditions": [failed | {"lastTransitionTime": "2027-01-15T08:00:00Z"}]}
    pod = trial_pod("job", "")
    stored = as_stored(document)
    _, decision = decided(document, stored=stored, running=[one], job_pods=[pod])
    found = decision.findings["a"]
    assert found.verdict
    assert "longer than 600 s: the operator's TILTYARD_FETCH_TIME" in found.verdict.message
    assert found.due is None or found.due > NOW
