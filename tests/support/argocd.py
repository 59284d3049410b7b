"""Health of an object as Argo CD tells it: our script, run as Argo CD runs it."""

from pathlib import Path
from typing import Any

from lupa.lua51 import LuaRuntime

SCRIPTS = Path(__file__).parents[2] / "gitops/argocd"
HEALTHS = {"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"}

Object = dict[str, Any]


def health(obj: Object) -> tuple[str, str]:
    """Give status and message."""
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    lua.globals().obj = _table(lua, obj)
    said = lua.execute((SCRIPTS / obj["kind"] / "health.lua").read_text())
    assert set(said) <= {"status", "message"}
    assert said.status in HEALTHS
    return said.status, said.message


def _table(lua: LuaRuntime, value: Any) -> Any:
    """Make plain Lua of JSON, so that a script sees tables and nothing of Python."""
    if isinstance(value, dict):
        return lua.table_from({key: _table(lua, one) for key, one in value.items()})
    if isinstance(value, list):
        return lua.table_from([_table(lua, one) for one in value])
    return value
