"""Random faults during a soak, and their times."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import docker

from tests.soak.proxies import Proxies
from tests.soak.proxy import LAMBDA_FAULTS, S3_FAULTS
from tests.soak.small_disk import fill
from tests.soak.system import LosableStack

STOPPED = "stack stopped, with all it had"
FULL = "cache_dir full"
KILLED = "container killed"
DELETED = "function deleted"

_AT_PEACE_S = 10.0


class Faults:
    """Breaks things, and remembers when.

    Parameters
    ----------
    losable, proxies
        What breaks.
    cache_dir
        Of the executor; it can be filled if it is a file system of its own.
    choose
        The source of what is random.
    noted
        Is given each fault.
    hits
        Faults of requests, by node.

    Attributes
    ----------
    killed
        Ids of containers that were killed, with what ran in them.
    """

    def __init__(
        self,
        losable: LosableStack,
        proxies: Proxies,
        cache_dir: Path,
        choose: random.Random,
        noted: Callable[[str], None],
        hits: Mapping[int, set[str]],
    ) -> None:
        self._losable = losable
        self._proxies = proxies
        self._cache_dir = cache_dir
        self._random = choose
        self._note = noted
        self._hits = hits
        self._blamed: set[int] = set()
        self._times: list[tuple[str, float, float]] = []
        self.killed: set[str] = set()

    def during(self, kinds: tuple[str, ...], since: float) -> bool:
        """Return whether there was such a fault between a moment (`time.monotonic`) and now."""
        return any(kind in kinds and until >= since for kind, _, until in self._times)

    def met(self, node_id: int) -> set[str]:
        """Return the faults of a node's requests."""
        return self._hits.get(node_id, set())

    def blame(self, kinds: tuple[str, ...], since: float) -> str:
        """Return the fault of these kinds between a moment and now; empty if there was none.

        A container runs one task: the kill of one explains one error.
        """
        for index, (kind, _, until) in enumerate(self._times):
            if kind in kinds and until >= since and index not in self._blamed:
                if kind == KILLED:
                    self._blamed.add(index)
                return kind
        return ""

    def has_taken(self, container: str, since: float) -> bool:
        """Return whether a container that ran after a moment was ended by a fault."""
        if container in self.killed:
            return True
        # One that started while functions were being deleted was not listed before.
        if not self.during((DELETED, STOPPED), since):
            return False
        return container not in {one.id[:12] for one in self._losable.containers()}

    async def go_on(self, seconds: float) -> None:
        """Break things for so long; everything breaks once at least, if the time suffices."""
        # What ends containers is rare, so that tasks come to their time's end as well.
        usual = [
            *[self._break_lambda] * 20,
            *[self._break_s3] * 12,
            self._kill_container,
            self._delete_functions,
            self._delete_images,
        ]
        rare = [self._fill_cache] if os.path.ismount(self._cache_dir) else []
        rare.append(self._lose_everything)
        # A fault of these lasts; with a minute and a half for each, there is time for the others.
        times = max(1, int(seconds / 90 / len(rare)))
        pending = [fault for fault in rare for _ in range(times)]
        self._random.shuffle(pending)
        began = time.monotonic()
        next_rare = self._random.uniform(0.3, 0.8) * seconds / (len(pending) + 1)
        # The last seconds pass in peace, so that what is asked for again can be answered.
        while (now := time.monotonic() - began) < seconds - _AT_PEACE_S:
            await asyncio.sleep(self._random.uniform(1, 5))
            if pending and now > next_rare and now < seconds - 3 * _AT_PEACE_S:
                next_rare = now + (seconds - now) / (len(pending) + 1)
                await asyncio.to_thread(pending.pop())
            else:
                await asyncio.to_thread(self._random.choice(usual))

    @contextlib.contextmanager
    def _lasting(self, kind: str) -> Iterator[None]:
        self._note(kind)
        index, start = len(self._times), time.monotonic()
        self._times.append((kind, start, float("inf")))
        try:
            yield
        finally:
            self._times[index] = (kind, start, time.monotonic())

    def _break_lambda(self) -> None:
        count = self._random.randint(1, 6)
        self._proxies.break_lambda([self._random.choice(LAMBDA_FAULTS) for _ in range(count)])

    def _break_s3(self) -> None:
        self._proxies.break_s3(self._random.choice(S3_FAULTS), self._random.uniform(0.5, 3))

    def _kill_container(self) -> None:
        containers = self._losable.containers()
        if containers:
            container = self._random.choice(containers)
            self.killed.add(container.id[:12])
            with self._lasting(KILLED), contextlib.suppress(docker.errors.APIError):
                container.kill()

    def _delete_functions(self) -> None:
        functions = self._losable.owner("lambda")
        names = [one["FunctionName"] for one in functions.list_functions()["Functions"]]
        self.killed.update(container.id[:12] for container in self._losable.containers())
        with self._lasting(DELETED):
            for name in names:
                # The function of a broken start may be gone already.
                with contextlib.suppress(functions.exceptions.ResourceNotFoundException):
                    functions.delete_function(FunctionName=name)

    def _delete_images(self) -> None:
        registry, repository = self._losable.owner("ecr"), self._losable.stack.repository
        images = registry.list_images(repositoryName=repository)["imageIds"]
        if images:
            registry.batch_delete_image(repositoryName=repository, imageIds=images)
        self._note("image deleted")
        self._delete_functions()

    def _fill_cache(self) -> None:
        """Leave no space in `cache_dir` while images are built."""
        with self._lasting(FULL), fill(self._cache_dir):
            self._delete_images()
            time.sleep(self._random.uniform(5, 10))

    def _lose_everything(self) -> None:
        with self._lasting(STOPPED):
            self.killed.update(container.id[:12] for container in self._losable.containers())
            self._losable.lose()
