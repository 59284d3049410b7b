"""Settings: every fault at once, each with its variable's name."""

import pytest

from tiltyard_operator.settings import BadSettings, read

LEAST = {"TILTYARD_ENGINE_IMAGE": "engine:1", "POD_NAME": "op-1", "POD_NAMESPACE": "tiltyard"}


def test_defaults_suffice() -> None:
    settings = read(LEAST | {"PATH": "/bin"})
    assert settings.engine_image == "engine:1"
    assert settings.namespaces == ()
    assert settings.network_policy
    assert settings.lease_namespace == "tiltyard"


def test_everything_can_be_set() -> None:
    settings = read(
        LEAST
        | {
            "TILTYARD_NAMESPACES": "shop, bank",
            "TILTYARD_NETWORK_POLICY": "false",
            "TILTYARD_MONITORING_LABELS": "team=observability,tier=",
            "TILTYARD_RESYNC_SECONDS": "5",
            "TILTYARD_FETCH_ADDRESSES": "127.0.0.0/8, ::1",
            "TILTYARD_FETCH_SIZE": "40Gi",
            "TILTYARD_FETCH_TIME": "1h30m",
        }
    )
    assert settings.namespaces == ("shop", "bank")
    assert not settings.network_policy
    assert settings.monitoring_labels == {"team": "observability", "tier": ""}
    assert settings.resync == 5
    assert settings.fetch_addresses == ("127.0.0.0/8", "::1/128")
    assert (settings.fetch_size, settings.fetch_time) == ("40Gi", "1h30m")
    assert settings.lease_namespace == "shop"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TILTYARD_ENGINE_IMAGE", ""),
        ("TILTYARD_ENGINE_PULL_POLICY", "Sometimes"),
        ("TILTYARD_NAMESPACES", "Shop"),
        ("TILTYARD_RESOLVE_CPUS", "a lot"),
        ("TILTYARD_RESOLVE_CPUS", "1Gi"),
        ("TILTYARD_RESOLVE_MEMORY", "1 Gi"),
        ("TILTYARD_RESOLVE_MEMORY", "1K"),
        ("TILTYARD_RESOLVE_MEMORY", "500m"),
        ("TILTYARD_RESOLVE_PULL_SECRETS", "Registry"),
        ("TILTYARD_FETCH_ADDRESSES", "localhost"),
        ("TILTYARD_FETCH_ADDRESSES", "10.0.0.1/8"),
        ("TILTYARD_FETCH_SIZE", "much"),
        ("TILTYARD_FETCH_SIZE", "0"),
        ("TILTYARD_FETCH_TIME", "7 minutes"),
        ("TILTYARD_TRIAL_TIME", "0s"),
        ("TILTYARD_TRIAL_TIME", "25h"),
        ("TILTYARD_NETWORK_POLICY", "yes"),
        ("TILTYARD_MONITORING_LABELS", "monitoring"),
        ("TILTYARD_WORKERS", "0"),
        ("TILTYARD_WORKERS", "eight"),
        ("TILTYARD_LISTEN", "65536"),
        ("TILTYARD_RESYNC_SECONDS", "-1"),
        ("TILTYARD_TYPO", "1"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name):
        read(LEAST | {name: value})


def test_every_fault_is_told() -> None:
    with pytest.raises(BadSettings) as told:
        read({"TILTYARD_WORKERS": "x"})
    assert len(str(told.value).splitlines()) == 4


def test_what_kubernetes_sets_for_a_service_of_our_name_is_none_of_ours() -> None:
    links = {
        "TILTYARD_SERVICE_HOST": "10.0.0.1",
        "TILTYARD_SERVICE_PORT_HTTP": "80",
        "TILTYARD_PORT": "tcp://10.0.0.1:80",
        "TILTYARD_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert read(LEAST | links) == read(LEAST)
