"""What the Secret that signs inference ids gives to the pods of a Pipeline."""

from makers import Document, make_document, make_resolved
from sights import decided, objects_of
from tiltyard_operator.kinds import Object

EXPERIMENT: Document = {"metrics": [{"name": "sold", "kind": "binary"}], "idSecretName": "ids"}
FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}


def test_the_secret_that_signs_ids_is_given_to_the_engine_alone() -> None:
    document = make_document({"spec.experiment": EXPERIMENT})
    pod: Object = objects_of(*decided(document, facts=FACTS))[-1]["spec"]["template"]["spec"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "tiltyard-ids"]
    assert volume["secret"] == {"secretName": "ids", "defaultMode": 0o440, "optional": True}
    engine, fetcher = pod["containers"][0], pod["initContainers"][0]
    (mounted,) = [one for one in engine["volumeMounts"] if one["name"] == volume["name"]]
    assert mounted["readOnly"] is True
    told = engine["command"][engine["command"].index("--id-keys") + 1]
    assert told == f"{document['metadata']['name']}={mounted['mountPath']}"
    assert volume["name"] not in {one["name"] for one in fetcher["volumeMounts"]}
