"""One worker process: an event loop that answers the data port."""

import asyncio
import os
import random
import resource
import secrets
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import uvloop

from tiltyard_engine.app import App
from tiltyard_engine.counters import Block
from tiltyard_engine.faces import open_faces
from tiltyard_engine.feedback.taking import Taker, Takers
from tiltyard_engine.garbage import keep_freed_memory
from tiltyard_engine.grpcport import GrpcPort
from tiltyard_engine.grpcport import make as make_grpc
from tiltyard_engine.http.server import Server
from tiltyard_engine.log import log
from tiltyard_engine.metrics import READY
from tiltyard_engine.outbox import Outbox
from tiltyard_engine.pipeline import Loaded, ServedPipeline
from tiltyard_engine.recording.taking import Recording
from tiltyard_engine.ring import Ring
from tiltyard_engine.scheduler import Scheduler
from tiltyard_engine.settings import Settings, cpus
from tiltyard_engine.steps.base import Context
from tiltyard_engine.tables import RoutingRefused


class Ports(NamedTuple):
    """The sockets that one worker accepts on."""

    data: socket.socket
    grpc: socket.socket | None

    def close(self) -> None:
        """Leave them to the others."""
        self.data.close()
        if self.grpc:
            self.grpc.close()


def run_worker(
    settings: Settings,
    loaded: list[Loaded],
    block: Block,
    ports: Ports,
    ring: Ring,
    recordings: Mapping[str, Recording],
) -> None:
    """Serve until SIGTERM, then finish what was accepted."""
    _allow_many_connections(settings.limits.max_connections)
    keep_freed_memory()
    for one in loaded:
        for session in one.sessions.values():
            session.after_fork()
    worker = Worker(settings, loaded, block, ring)
    worker.record(recordings)
    uvloop.run(worker.serve(ports))


class Worker:
    """The parts of a worker and how they begin and end."""

    def __init__(self, settings: Settings, loaded: list[Loaded], block: Block, ring: Ring) -> None:
        self._settings = settings
        self._block = block
        outbox = Outbox([one.plan for one in loaded], ring)
        budget = settings.validation_budget
        self._pipelines = [ServedPipeline(one, block, outbox, budget) for one in loaded]
        self._ready = block.offset(READY.metric)
        self._replaced = False

    def record(self, recordings: Mapping[str, Recording]) -> None:
        """Have Pipelines written down, by their names."""
        for pipeline in self._pipelines:
            pipeline.recording = recordings.get(pipeline.plan.pipeline)

    async def serve(self, ports: Ports) -> None:
        """Answer requests until the process is told to end."""
        loop = asyncio.get_running_loop()
        # Seeded by the system after the fork: workers must not share their chance.
        chance = random.Random(secrets.randbits(256))  # noqa: S311 - a draw is no secret
        draw = partial(chance.getrandbits, 64)
        context = Context(time.perf_counter_ns, draw, watched=False)
        scheduler = Scheduler(loop, context, max(1, int(cpus()) // self._settings.workers))
        settings, takers = self._settings, self._takers()
        routes = open_faces(self._pipelines, settings.partition, settings.sizes, takers=takers)
        app = App(routes, scheduler, loop, self._block, self._settings.max_in_flight)
        server = Server(app.handle, app.refuse, self._settings.limits)
        grpc = make_grpc(app, self._pipelines, self._settings) if ports.grpc else None
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)

        def give_way() -> None:
            self._replaced = True
            server.stop_accepting()
            if grpc:
                grpc.stop_accepting()
            ended.set()

        loop.add_signal_handler(signal.SIGUSR1, give_way)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._reload()  # a restarted worker was forked with the first table
        for pipeline in self._pipelines:
            pipeline.begin()
        if grpc and ports.grpc:
            await grpc.start(ports.grpc)
        await server.start(ports.data)
        self._announce()
        await ended.wait()
        await self._end(server, grpc, app, scheduler)

    def _takers(self) -> Takers | None:
        """Who takes feedback, where there is an experiment."""
        age = self._settings.feedback_age
        found = [one.opened for one in self._pipelines if one.opened]
        takers = {one.tag: (one, Taker(one, self._block, age)) for one in found}
        records = {one.opened.tag: one.recording for one in self._pipelines if one.opened}
        kept = {tag: recording for tag, recording in records.items() if recording}
        return Takers(takers, self._block, kept) if takers else None

    def _announce(self) -> None:
        """Tell the management port, and whoever waits for the start, that requests are taken."""
        self._block.words[self._ready] = 1
        pipe = self._settings.starter.ready_pipe
        if pipe is not None:
            with suppress(BrokenPipeError):  # nobody waits for a restarted worker
                os.write(pipe, b".")

    async def _end(
        self, server: Server, grpc: GrpcPort | None, app: App, scheduler: Scheduler
    ) -> None:
        """Drain: say goodbye on every answer, then stop accepting, then finish."""
        if not self._replaced:  # else another engine is ready in our place
            self._block.words[self._ready] = 0
        server.drain()
        if grpc:
            grpc.announce_end()
        await asyncio.sleep(self._settings.drain_delay)
        server.stop_accepting()
        if grpc:
            grpc.stop_accepting()
            grpc.drain()
        # What was accepted is answered. What comes whole only when half the grace is over is
        # refused while there is time to say so: the rest is for what runs.
        grace = self._settings.grace
        asyncio.get_running_loop().call_later(grace / 2, app.drain)
        finishing = asyncio.create_task(grpc.finished(grace)) if grpc else None
        in_time = await server.finished(grace)
        if finishing:
            in_time &= await finishing
        if not in_time:
            log("requests were cut off", grace_seconds=grace)
        for pipeline in self._pipelines:
            pipeline.flush()
            pipeline.close()
        scheduler.close()

    def _reload(self) -> None:
        """Put the routing tables on disk in force; what does not fit is counted and left."""
        for pipeline, path in zip(self._pipelines, self._settings.tables, strict=True):
            try:
                pipeline.route_by(path)
            except RoutingRefused as error:
                log("a routing table was refused", file=str(path), why=str(error))
            pipeline.heed()


def _allow_many_connections(connections: int) -> None:
    """Raise the soft limit on open files as far as it takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 256
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
