"""Credentials of object stores: keys of a Secret, or what the machine has, as variables."""

import configparser
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.sources.base import Access, ArtifactError

PREFIXES = {"s3": ("AWS_",), "gs": ("GOOGLE_",), "az": ("AZURE_",)}
"""Names of the variables that say anything to each store."""

ROLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_SKIP_SIGNATURE",
)
"""Any of these tells who we are; without one a profile may."""

FROM_PROFILE = {
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
    "region": "AWS_REGION",
    "endpoint_url": "AWS_ENDPOINT_URL",
}

FROM_CONNECTION_STRING = {
    "AccountName": "AZURE_STORAGE_ACCOUNT_NAME",
    "AccountKey": "AZURE_STORAGE_ACCOUNT_KEY",
    "SharedAccessSignature": "AZURE_STORAGE_SAS_TOKEN",
    "BlobEndpoint": "AZURE_STORAGE_ENDPOINT",
}

_ALONE = threading.Lock()
"""Variables are the whole process's, and several models are fetched at once."""


@contextmanager
def environment(uri: str, scheme: str, access: Access) -> Iterator[Mapping[str, str]]:
    """Let the variables of a store be those of the Secret alone, or the machine's own.

    Raises:
        ArtifactError: the credentials cannot be used; the message says by what to replace them.

    """
    with _ALONE:
        ours = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(PREFIXES[scheme]) and value
        }
        found = dict(ours) if access.secret is None else _of_secret(access.secret, PREFIXES[scheme])
        found = _COMPLETED[scheme](uri, found, access)
        for name in ours:
            del os.environ[name]
        os.environ.update(found)
        try:
            yield found
        finally:
            for name in found:
                del os.environ[name]
            os.environ.update(ours)


def _of_secret(folder: Path, prefixes: tuple[str, ...]) -> dict[str, str]:
    return {
        file.name: file.read_text(encoding="utf-8").strip()
        for file in folder.iterdir()
        if file.name.startswith(prefixes) and file.is_file()
    }


def _s3(uri: str, found: dict[str, str], access: Access) -> dict[str, str]:
    """Take a profile of the AWS tools where nothing else tells who we are."""
    if access.secret is not None or any(name in found for name in ROLES):
        return found
    home = Path.home() / ".aws"
    name = found.get("AWS_PROFILE", "default")
    credentials = found.get("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
    config = found.get("AWS_CONFIG_FILE", str(home / "config"))
    files = configparser.RawConfigParser()
    files.read([config, credentials])
    profile: dict[str, str] = {}
    for section in (f"profile {name}", name):
        if files.has_section(section):
            profile |= dict(files[section])
    if profile and "aws_access_key_id" not in profile:
        raise ArtifactError(
            ConditionReason.ACCESS_DENIED,
            f"{uri}: profile {name!r} holds no keys of its own: run"
            f' eval "$(aws configure export-credentials --profile {name} --format env)"',
        )
    mine = {variable: profile[key] for key, variable in FROM_PROFILE.items() if key in profile}
    return mine | found


def _gs(uri: str, found: dict[str, str], access: Access) -> dict[str, str]:
    """Take the key of a service account, which clouds give as a file."""
    key = access.key("key.json")
    if key is None:
        return found
    try:
        told = dict(json.loads(key))
    except (ValueError, TypeError):
        told = {"type": "no JSON"}
    kind = told.get("type", "service_account")
    if kind != "service_account":
        raise ArtifactError(
            ConditionReason.ACCESS_DENIED,
            f"{uri}: key.json of the Secret is {kind}, only service_account is read: make a key of"
            " a service account, or leave secretName out and let the cluster's workload identity"
            " speak",
        )
    # A store of one's own says so in the key; as a variable it is judged like any other.
    place = {"GOOGLE_BASE_URL": str(told["gcs_base_url"])} if "gcs_base_url" in told else {}
    return found | place | {"GOOGLE_SERVICE_ACCOUNT_KEY": key}


def _az(uri: str, found: dict[str, str], access: Access) -> dict[str, str]:
    """Take the parts of a connection string, and the short name of the account."""
    del access
    text = found.pop("AZURE_STORAGE_CONNECTION_STRING", "")
    parts = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    mine = {
        variable: parts[key] for key, variable in FROM_CONNECTION_STRING.items() if key in parts
    }
    if "AZURE_STORAGE_ACCOUNT" in found:
        mine.setdefault("AZURE_STORAGE_ACCOUNT_NAME", found.pop("AZURE_STORAGE_ACCOUNT"))
    if "AZURE_STORAGE_KEY" in found:
        mine.setdefault("AZURE_STORAGE_ACCOUNT_KEY", found.pop("AZURE_STORAGE_KEY"))
    if "AZURE_STORAGE_ACCOUNT_NAME" not in mine | found:
        raise ArtifactError(
            ConditionReason.ACCESS_DENIED,
            f"{uri}: nothing names the storage account: set AZURE_STORAGE_ACCOUNT_NAME, or"
            " AZURE_STORAGE_CONNECTION_STRING, in the Secret",
        )
    return mine | found


_COMPLETED = {"s3": _s3, "gs": _gs, "az": _az}
