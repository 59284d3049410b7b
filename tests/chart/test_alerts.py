"""Alerts fire when they should and only then, by Prometheus' own tool; each says what to do."""

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from documents import table
from helm import CHART
from tools import need

ALERTS = CHART / "files/alerts.yaml"
CASES = Path(__file__).with_name("alerts.test.yaml")
NAMES = {
    rule["alert"]
    for group in yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]
}


def promtool(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [need("promtool"), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rules() -> None:
    assert f"{len(NAMES)} rules found" in promtool("check", "rules", str(ALERTS), folder=CHART)


def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    for file in (ALERTS, CASES):
        shutil.copy(file, tmp_path)
    assert "SUCCESS" in promtool("test", "rules", CASES.name, folder=tmp_path)


def test_each_alert_is_seen_firing_in_a_case() -> None:
    fired = {
        one["alertname"]
        for case in yaml.safe_load(CASES.read_text())["tests"]
        for one in case["alert_rule_test"]
        if one["exp_alerts"]
    }
    assert fired == NAMES


def test_each_alert_is_documented() -> None:
    rows = table("docs/monitoring.md", "alert", "severity", "what to do")
    severities = dict(re.findall(r"alert: (\w+).*?severity: (\w+)", ALERTS.read_text(), re.DOTALL))
    assert {name: severity for name, severity, _ in rows} == severities
