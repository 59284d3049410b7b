"""What can go wrong with a request: each fault is a function of the exchange that it spoils."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from faultproxy.exchange import Exchange, Reset

Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


async def forward(exchange: Exchange) -> web.StreamResponse:
    """Nothing goes wrong."""
    return await exchange.forward()


def answer(status: int, retry_after: int | None = None) -> Fault:
    """Answer in place of the API server, in its form."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        said = {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "message": f"a test lets {exchange.asked} fail: {HTTPStatus(status).phrase}",
            "reason": _REASONS[status],
            "code": status,
        }
        headers = {"Content-Type": "application/json"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        return web.Response(status=status, text=json.dumps(said), headers=headers)

    return fault


def before(happens: Callable[[], None]) -> Fault:
    """Let something happen, such as the operator's death; the request goes nowhere."""

    async def fault(_: Exchange) -> web.StreamResponse:
        await asyncio.to_thread(happens)
        raise Reset

    return fault


def after(happens: Callable[[], None]) -> Fault:
    """Let something happen when the API server did what was asked; nobody hears of it."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await exchange.forward()
        await asyncio.to_thread(happens)
        raise Reset

    return fault


async def reset_before(_: Exchange) -> web.StreamResponse:
    """Reset the connection; the request goes nowhere."""
    raise Reset


async def reset_after(exchange: Exchange) -> web.StreamResponse:
    """Reset the connection when the API server did what was asked."""
    await exchange.forward()
    raise Reset


def late(seconds: float) -> Fault:
    """Let the request wait before it is passed on."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await exchange.forward()

    return fault


async def hang(_: Exchange) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise Reset


async def cut(exchange: Exchange) -> web.StreamResponse:
    """Send half of the answer, and then an end that should not be there."""
    whole = await exchange.forward()
    data = bytes(whole.body) if isinstance(whole.body, bytes) else b""
    half = web.StreamResponse(status=whole.status, headers={"Content-Length": str(len(data))})
    await half.prepare(exchange.request)
    await half.write(data[: len(data) // 2])
    raise Reset


async def page(exchange: Exchange) -> web.StreamResponse:
    """Answer 200 with a web page, as some gateways do; the API server did what was asked."""
    await exchange.forward()
    return web.Response(text="<html><body>Welcome</body></html>", content_type="text/html")
