"""Invokes by boto3, signed and unsigned; prints the scores by the way they came."""

import json
import sys

import boto3
from botocore import UNSIGNED
from botocore.config import Config

asked = json.load(sys.stdin)
NAME, ROWS, COLUMNS = asked["pipeline"], asked["rows"], asked["columns"]
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
CSV = "\n".join(",".join(map(repr, row)) for row in ROWS)
BODIES = {
    "records": ("application/json", json.dumps(RECORDS)),
    "instances": ("application/json", json.dumps({"instances": ROWS})),
    "columns": ("application/json", json.dumps({"columns": COLUMNS, "data": ROWS})),
    "csv": ("text/csv", CSV),
}


def make_client(config: Config, **how: str) -> object:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=asked["url"],
        region_name="us-east-1",
        config=config.merge(Config(retries={"max_attempts": 0})),
        **how,
    )


def invoke(client: object, sent: str, body: str, **how: str) -> dict[str, object]:
    asked_for = {"EndpointName": NAME, "Body": body, "ContentType": sent} | how
    return client.invoke_endpoint(**asked_for)


def refusal(client: object, **how: str) -> dict[str, str]:
    try:
        invoke(client, *BODIES["records"], **how)
    except client.exceptions.ClientError as problem:
        return problem.response["Error"]
    raise AssertionError(f"{how} was not refused")


def numbers(media: str, text: str) -> list[float]:
    if media == "text/csv":
        return [float(line) for line in text.split()]
    return [row[asked["output"]][0] for row in json.loads(text)["predictions"]]


credentials = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
CLIENTS = {
    "signed": make_client(Config(), **credentials),
    "unsigned": make_client(Config(signature_version=UNSIGNED)),
}
found = {}
for client_name, client in CLIENTS.items():
    for body_name, (sent, body) in BODIES.items():
        for wanted in ("application/json", "text/csv"):
            details = {"InferenceId": f"{client_name}-{body_name}", "CustomAttributes": "order=66"}
            answer = invoke(client, sent, body, Accept=wanted, **details)
            assert answer["InvokedProductionVariant"] == asked["variant"], answer
            text = answer["Body"].read().decode()
            found[f"{client_name}, {body_name}, {wanted}"] = numbers(answer["ContentType"], text)
    for fault in ({"EndpointName": "nobody"}, {"TargetVariant": "nobody"}):
        error = refusal(client, **fault)
        assert error["Code"] == "ValidationError", error
        assert "nobody" in error["Message"], error
json.dump(found, sys.stdout)
