"""Every situation that a Pipeline can be in, and what its status then says."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from makers import Document, make_document, make_resolved
from sights import NOW, STAMP, as_stored, decided, engine_pod, job, serving, trial_pod
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.v1alpha1.conditions import REASONS, ConditionReason, ConditionType
from tiltyard_api.v1alpha1.status import PipelineStatus
from tiltyard_operator.desired.resolving import resolve_key
from tiltyard_operator.observed import Answer
from tiltyard_operator.reconcile import QUEUED
from tiltyard_operator.status import Made, next_look, plain, report
from tiltyard_operator.verdicts import Verdict

FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}
NOT_ONNX = (ConditionReason.NOT_A_MODEL, "it is HTML, not ONNX: mend the uri")


@dataclass(frozen=True)
class Situation:
    """What there is to see."""

    document: Document
    read: Document
    made: Callable[[Made], Made] = lambda made: made

    def status(self) -> PipelineStatus:
        seen, decision = decided(self.document, **self.read)
        return report(seen, decision, self.made(Made(seen.workload)), NOW)

    def next_look(self) -> float | None:
        seen, decision = decided(self.document, **self.read)
        return next_look(seen, decision, self.made(Made(seen.workload)), NOW)


def situation(changes: Document | None = None, **read: Any) -> Situation:
    """`PRICES`, that serves with two pods, and changes."""
    document = make_document()
    return Situation(make_document(changes), serving(document, FACTS) | read)


def rolling(**status: Any) -> Situation:
    one = situation()
    deployment = one.read["deployment"]
    deployment["status"] |= status
    return one


def waiting(container: Document, init: Document | None = None, **metadata: Any) -> Situation:
    """One pod of the wanted plan that does not serve."""
    one = situation()
    plan = one.read["pods"][0]["metadata"]["labels"]["tiltyard.dev/plan"]
    status = {
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [container],
        "initContainerStatuses": [init] if init else [],
    }
    bad = engine_pod("prices-9", plan, status=status)
    bad["metadata"] |= metadata
    one.read["pods"].append(bad)
    one.read["deployment"]["status"] |= {"replicas": 3, "updatedReplicas": 1}
    return one


def said(**changes: Any) -> Situation:
    """The second pod answers something else."""
    one = situation()
    one.read["said"]["prices-1"] = replace(one.read["said"]["prices-1"], **changes)
    return one


def silent(seconds: float, *, confirmed: bool = False) -> Situation:
    one = situation()
    one.read["said"]["prices-1"] = Answer(silent_since=NOW - seconds)
    if confirmed:
        before = plain(situation().status())
        before["routing"]["observedAt"] = "2027-01-15T08:00:01Z"
        one.read["stored"] = as_stored(one.document, status=before)
    return one


def new_and_quiet() -> Situation:
    """The second pod began to serve after all were heard, and has not said a word yet."""
    one = silent(1, confirmed=True)
    one.read["pods"][1]["status"]["conditions"][0]["lastTransitionTime"] = "2027-01-15T08:00:02Z"
    return one


def untriable() -> Situation:
    """The image of the Job cannot be pulled."""
    entry = read_pipeline(make_document()).spec.models[0].entry
    assert entry
    pulling = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pod = trial_pod("job", "")
    pod["status"]["containerStatuses"] = [{"name": "fetch", "state": pulling}]
    return nothing_yet(running=[job("job", resolve_key(entry), ended=False)], job_pods=[pod])


def unplaced(seconds: float) -> Situation:
    one = waiting({"name": "engine", "state": {}})
    pod = one.read["pods"][-1]
    pod["status"]["conditions"].append(
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    )
    began = f"2027-01-15T07:59:{60 - seconds:02.0f}Z"
    assert began < STAMP
    pod["metadata"]["creationTimestamp"] = began
    return one


def crash(message: str = "", reason: str = "Error") -> Document:
    ended = {"terminated": {"exitCode": 1, "reason": reason, "message": message}}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    return {"name": "engine", "restartCount": 3, "state": state, "lastState": ended}


def started_again(reason: str) -> Document:
    """A container that ended, and is not ready yet after it was started once more."""
    return crash(reason=reason) | {"state": {"running": {}}, "ready": False}


def suspended(pods: int) -> Situation:
    one = situation({"spec.suspend": True})
    one.read["deployment"]["spec"]["replicas"] = 0
    one.read["deployment"]["status"] |= dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), pods
    )
    one.read["pods"] = one.read["pods"][:pods]
    return one


def scaled_to_zero() -> Situation:
    one = suspended(0)
    return Situation(make_document({"spec.deployment.replicas": 0}), one.read)


def shared_model(**found: Any) -> Situation:
    reference = {"name": "c", "modelRef": {"name": "converter"}}
    return situation({"spec.models[2]": reference}, **found)


def converter(**status: Any) -> Document:
    return {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": "converter", "namespace": "default", "generation": 1},
        "spec": {"framework": "onnx", "source": {"uri": "https://models.example/c.onnx"}},
        "status": status,
    }


def stalled_model() -> Document:
    why = {"type": "Stalled", "status": "True", "reason": "NotAModel", "message": "it is HTML"}
    return converter(conditions=[why | {"lastTransitionTime": STAMP}])


def python_model() -> Document:
    """A Model whose two workers and the engine need more than the Pipeline's pods have."""
    model = converter()
    tensors = [{"name": "euro", "type": "float32"}]
    model["spec"] |= {"framework": "python", "inputs": tensors, "outputs": tensors}
    model["spec"] |= {"memory": "400Mi", "workers": 2}
    return model


def nothing_yet(**read: Any) -> Situation:
    return Situation(make_document(), read)


def refused(reason: ConditionReason) -> Callable[[Made], Made]:
    return lambda made: replace(made, refused=Verdict(reason, "quota exceeded"))


def with_other_fact(name: str, fact: Any) -> Situation:
    """A new model of that name, of which a trial said this; the old one serves."""
    changes = {f"spec.models[{'abc'.index(name)}].source.uri": "https://models.example/new.onnx"}
    one = situation(changes)
    return replace(one, read=one.read | {"facts": {name: fact}})


HELD = nothing_yet(facts=FACTS)
LEFTOVER = Verdict(ConditionReason.RETRYING, "Service prices of a deleted Pipeline is still there")

# situation, phase, Ready, its reason, Reconciling, Stalled, Available, RoutingSynced, words
Row = tuple[Situation, str, str, str, bool, bool, str, str, str]
SITUATIONS: dict[str, Row] = {
    "all pods serve this generation": (
        situation(), "Running", "True", "Serving", False, False, "True", "True", "2 pods serve"),
    "nothing was tried yet": (
        nothing_yet(), "Loading", "False", "Resolving", True, False, "False", "False", "model a"),
    "what tries a model cannot start": (
        untriable(),
        "Stalled", "False", "ResolveFailed", False, True, "False", "False", "no such image"),
    "no pods yet": (
        HELD, "Loading", "False", "Loading", True, False, "False", "False", "no pods yet"),
    "pods are replaced": (
        rolling(updatedReplicas=1, replicas=3),
        "Rolling", "False", "Rolling", True, False, "True", "True", "1 of 2 pods are new"),
    "the Deployment's controller has not looked yet": (
        rolling(observedGeneration=2),
        "Rolling", "False", "Rolling", True, False, "True", "True", ""),
    "a new pod loads": (
        rolling(availableReplicas=1),
        "Rolling", "False", "Loading", True, False, "True", "True", "1 of 2 pods"),
    "a surplus pod ends": (
        rolling(replicas=3, updatedReplicas=3),
        "Rolling", "False", "Scaling", True, False, "True", "True", "1 pods too many"),
    "a pod runs the weights of before": (
        said(revision=0, hash="old"),
        "Running", "False", "Syncing", True, False, "True", "False", "prices-1"),
    "a pod runs the plan of before": (
        said(plan="old"),
        "Running", "False", "Syncing", True, False, "True", "False", "prices-1"),
    "a pod has the revision and another table": (
        said(hash="other"), "Running", "False", "Syncing", True, False, "True", "False", "1/2"),
    "a pod is silent": (
        silent(5), "Degraded", "Unknown", "PodSilent", False, False, "True", "Unknown", "prices-1"),
    "a pod that never answered is quiet for a moment": (
        silent(1), "Running", "False", "Syncing", True, False, "True", "False", "prices-1"),
    "a new pod is quiet where the others agreed": (
        new_and_quiet(),
        "Running", "False", "Syncing", True, False, "True", "False", "prices-1"),
    "a pod that agreed is quiet for a moment": (
        silent(1, confirmed=True),
        "Running", "True", "Serving", False, False, "True", "True", ""),
    "the spec is invalid, the old one serves": (
        situation({"spec.steps[1].model": "none"}),
        "Stalled", "False", "Invalid", False, True, "True", "True", "no model 'none'"),
    "a validation is no expression, the old one serves": (
        situation({"spec.validations": [{"name": "dear", "expression": "out.euro[0] >"}]}),
        "Stalled", "False", "Invalid", False, True, "True", "True",
        "spec.validations[0].expression: 'dear': character 14: Syntax error"),
    "a validation is of an output that is not there, the old one serves": (
        situation({"spec.validations": [{"name": "dear", "expression": "out.eur[0] > 1.0"}]}),
        "Stalled", "False", "StepsDoNotFit", False, True, "True", "True",
        "'dear': character 1: there is no out.eur: did you mean euro?"),
    "a model is none, the old one serves": (
        with_other_fact("b", NOT_ONNX),
        "Stalled", "False", "NotAModel", False, True, "True", "True", "model b: it is HTML"),
    "the steps do not fit, the old ones serve": (
        with_other_fact("c", make_resolved("z float32[?,9] -> euro float32[?,1]")),
        "Stalled", "False", "StepsDoNotFit", False, True, "True", "True", "spec.steps[1]"),
    "a Model is not there": (
        shared_model(),
        "Stalled", "False", "ModelNotFound", False, True, "True", "True", "'converter'"),
    "a Model is not known yet": (
        shared_model(models={"converter": converter()}),
        "Loading", "False", "ModelNotReady", True, False, "True", "True", "converter"),
    "a Model is none": (
        shared_model(models={"converter": stalled_model()}),
        "Stalled", "False", "ModelNotReady", False, True, "True", "True", "it is HTML"),
    "workers of a Model do not fit": (
        shared_model(models={"converter": python_model()}),
        "Stalled", "False", "Invalid", False, True, "True", "True",
        "workers of Python models and 256Mi for the engine need 1056Mi: raise it"),
    "a name is taken": (
        replace(HELD, made=refused(ConditionReason.NAME_TAKEN)),
        "Stalled", "False", "NameTaken", False, True, "False", "False", "quota"),
    "an object is refused": (
        replace(situation(), made=refused(ConditionReason.APPLY_REFUSED)),
        "Stalled", "False", "ApplyRefused", False, True, "True", "True", "quota exceeded"),
    "many roll for a shared cause": (
        replace(situation(), made=lambda made: replace(made, held=QUEUED)),
        "Running", "False", "Queued", True, False, "True", "True", "waits"),
    "a predecessor is not gone": (
        replace(HELD, made=lambda made: replace(made, held=LEFTOVER)),
        "Pending", "False", "Retrying", True, False, "False", "False", "still there"),
    "an image is missing": (
        waiting({"name": "engine", "state": {"waiting": {"reason": "ImagePullBackOff"}}}),
        "Stalled", "False", "PodsFailing", False, True, "True", "True", "ImagePullBackOff"),
    "an artifact changed": (
        waiting(
            {"name": "engine", "state": {"waiting": {"reason": "PodInitializing"}}},
            init=crash('{"reason": "ArtifactChanged", "fault": "model a holds other bytes"}'),
        ),
        "Stalled", "False", "ArtifactChanged", False, True, "True", "True", "model a holds"),
    "an engine needs more memory": (
        waiting(crash(reason="OOMKilled")),
        "Stalled", "False", "PodsFailing", False, True, "True", "True", "raise deployment.memory"),
    "an engine needed more memory and starts again": (
        waiting(started_again("OOMKilled")),
        "Stalled", "False", "PodsFailing", False, True, "True", "True", "raise deployment.memory"),
    "an engine crashes": (
        waiting(crash("lines\nValueError: why")),
        "Stalled", "False", "PodsFailing", False, True, "True", "True", "ValueError: why"),
    "no node has room": (
        unplaced(31), "Stalled", "False", "PodsUnschedulable", False, True, "True", "True", "node"),
    "a node may still come": (
        unplaced(20), "Rolling", "False", "Rolling", True, False, "True", "True", ""),
    "pods do not get ready": (
        rolling(
            updatedReplicas=1,
            conditions=[
                {
                    "type": "Progressing",
                    "status": "False",
                    "reason": "ProgressDeadlineExceeded",
                }
            ],
        ),
        "Stalled", "False", "RolloutStuck", False, True, "True", "True", "in time"),
    "suspended, the last pod ends": (
        suspended(1), "Suspended", "False", "Suspended", True, False, "True", "True", "suspend"),
    "suspended": (
        suspended(0),
        "Suspended", "False", "Suspended", False, False, "False", "False", "suspend"),
    "scaled to zero": (
        scaled_to_zero(),
        "Running", "False", "ScaledToZero", False, False, "False", "False", "no pods"),
}  # fmt: skip


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_has_its_status(name: str) -> None:
    row, *expected, words = SITUATIONS[name]
    status = row.status()
    found = {one.type: one for one in status.conditions or ()}
    ready = found[ConditionType.READY]
    assert [
        status.phase,
        ready.status,
        ready.reason,
        ConditionType.RECONCILING in found,
        ConditionType.STALLED in found,
        found[ConditionType.AVAILABLE].status,
        found[ConditionType.ROUTING_SYNCED].status,
    ] == expected
    assert words in ready.message


def fetched_at_last() -> Situation:
    """Both pods serve; what one of them fetches could not be had at first."""
    one = situation()
    before = crash('{"reason": "SecretNotFound", "fault": "create it"}')["lastState"]
    done = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    init = {"name": "fetch", "ready": False, "restartCount": 1, "state": done, "lastState": before}
    one.read["pods"][1]["status"]["initContainerStatuses"] = [init]
    return one


def test_what_a_pod_fetched_in_the_end_is_no_trouble_any_more() -> None:
    status = fetched_at_last().status()
    assert {one.type: one.status for one in status.conditions or ()}["Ready"] == "True"


# situation, seconds until it is looked at again though nothing was heard; None: not at all
LOOKS: dict[str, float | None] = {
    "all pods serve this generation": 60,
    "an object is refused": 10,
    "a name is taken": 10,
    "a pod is silent": 2,
    "an engine crashes": 60,
    "no pods yet": None,
    "what tries a model cannot start": None,
    "suspended": None,
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_events_tell_of_is_not_looked_at_by_the_clock(name: str) -> None:
    assert SITUATIONS[name][0].next_look() == LOOKS[name]


def test_a_pod_that_finds_no_node_is_looked_at_when_patience_ends_and_not_again() -> None:
    waiting, told = unplaced(20), unplaced(31)
    assert waiting.next_look() == pytest.approx(10.1)
    for one in (waiting, told):
        for pod in one.read["pods"]:
            pod["status"]["conditions"][0]["status"] = "False"
    assert waiting.next_look() == pytest.approx(10.1)
    assert told.next_look() is None


@pytest.mark.parametrize("name", SITUATIONS)
def test_conditions_speak_of_the_generation_and_use_the_words_that_are_theirs(name: str) -> None:
    status = SITUATIONS[name][0].status()
    for one in status.conditions or ():
        assert one.observed_generation == status.observed_generation == 1
        assert one.reason in REASONS[ConditionType(one.type)]
        assert one.status == "True" or one.type not in ("Stalled", "Reconciling")
