"""A function's execution environments, and tasks that are sent to them."""

from __future__ import annotations

import asyncio
import json
import random
from collections import OrderedDict
from typing import Any

from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.ports.functions import ConnectionLost, NotAccepted, Reply
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.outcome import Outcome
from tests.fakes import FakeBlobStore
from tests.fakes.examples import call, task

NAME = "covalent-1-2"
ANSWER = {
    "v": wire.VERSION,
    "status": wire.COMPLETED,
    "result": {"header": {}, "string": "", "pickle": "gASILg=="},
    "stdout": "",
    "stderr": "",
    "error": None,
    "usage": {},
}


class Pool:
    """A function's execution environments, and connections to it that break.

    Each environment accepts one invocation at a time. An invocation gets the free one that was used
    last, or first, or any; if none is free, a new one, which takes a moment to start.

    Parameters
    ----------
    order
        ``"last"``, ``"first"`` or ``"any"``.
    limit
        Most environments at once.
    cut
        How many connections break.
    seconds
        How long tasks take, by turns.
    start_s
        How long a new environment takes to start.
    """

    def __init__(
        self,
        blobs: FakeBlobStore,
        order: str,
        limit: int,
        cut: int,
        seconds: list[float],
        start_s: float = 0.8,
    ) -> None:
        self._start_s = start_s
        self._blobs = blobs
        self._order = order
        self._limit = limit
        self._cut = cut
        self._seconds = seconds
        self._free: list[dict[str, str]] = []
        self._used: set[int] = set()
        self._random = random.Random(1)
        self.environments = 0
        self.questions = 0
        self.refused_questions = 0
        self.asking = 0
        self.most_asking = 0
        self.executions: list[str] = []

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        asked = json.loads(event)
        try:
            environment = await self._take()
        except NotAccepted:
            self.refused_questions += "ping" in asked
            raise
        try:
            stored = [self._store(environment, task_id) for task_id in asked.get("store", ())]
            if "ping" in asked:
                return await self._answer_question(environment, asked, [t for t in stored if t])
            self._used.add(id(environment))
            self.executions.append(asked["id"])
            seconds = self._seconds[len(self.executions) % len(self._seconds)]
            await asyncio.sleep(seconds)
            if seconds >= asked["durable_after_s"]:
                self._put(asked["result_url"])
                answer: dict[str, Any] = {"v": wire.VERSION, "result_at": "s3"}
            else:
                environment[asked["id"]] = asked["result_url"]
                answer = ANSWER
        finally:
            self._free.append(environment)
        if len(self.executions) <= self._cut:
            raise ConnectionLost("reset by peer")
        return Reply(payload=answer)

    async def _answer_question(
        self, environment: dict[str, str], asked: dict[str, Any], stored: list[str]
    ) -> Reply:
        self.questions += 1
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        await asyncio.sleep(asked["hold_s"])
        self.asking -= 1
        cold = id(environment) not in self._used
        self._used.add(id(environment))
        pong = {"v": 1, "pong": True, "cold": cold, "stored": stored}
        return Reply(payload=pong | {"environment": str(id(environment))})

    async def _take(self) -> dict[str, str]:
        if self._free:
            index = {"last": -1, "first": 0, "any": self._random.randrange(len(self._free))}
            return self._free.pop(index[self._order])
        if self.environments >= self._limit:
            raise NotAccepted("TooManyRequestsException")
        self.environments += 1
        await asyncio.sleep(self._start_s)
        return OrderedDict()

    def _store(self, environment: dict[str, str], task_id: str) -> str:
        if task_id not in environment:
            return ""
        self._put(environment.pop(task_id))
        return task_id

    def _put(self, url: str) -> None:
        key = url.partition("?")[0].removeprefix(f"{self._blobs.url}/")
        stored = ANSWER | {"result": {"header": {}, "string": ""}}
        self._blobs.put(key, b"".join(wire.pack(stored, [b"\x80\x04\x88."])))


async def run_all(
    pool: Pool, blobs: FakeBlobStore, count: int, **changes: Any
) -> list[Outcome | BaseException]:
    """Run tasks on a pool, all at once; `changes` are those of their calls."""
    loop = asyncio.get_running_loop()
    invoker = Invoker(pool, blobs, now=loop.time)
    changes = {"timeout_s": 100} | changes
    running = [
        invoker.run(call(task(abs, -1), NAME, node_id=number, **changes), Cancellation())
        for number in range(count)
    ]
    return await asyncio.gather(*running, return_exceptions=True)
