"""A trial: runs small tasks from end to end, then removes everything they needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.covalent_api.task import Task, read_task
from covalent_lambda_container.errors import InvocationError, LambdaContainerError
from covalent_lambda_container.executor.image_spec import image_spec
from covalent_lambda_container.executor.service import Service
from covalent_lambda_container.executor.wiring import AccountStores, LocalBuildStores
from covalent_lambda_container.model.specs import FunctionSpec, ImageReference, ImageSpec
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.progress import ReportProgress
from covalent_lambda_container.tasks.outcome import Outcome
from covalent_lambda_container.tasks.usage import Usage

LARGE_BYTES: Final = 7 << 20
"""More than Lambda accepts in a request ("Lambda quotas" page, read 2026-11: 6 MB), so that it
passes through S3 in both directions."""

_MODULE: Final = "covalent_lambda_trial"


@dataclass(frozen=True)
class TrialStep:
    """One step of the trial.

    Attributes
    ----------
    name
        ``"image"``, ``"function"``, ``"small task"``, ``"large task, through S3"``.
    seconds
        How long it took.
    detail
        The step's outcome.
    """

    name: str
    seconds: float
    detail: str


class Trial:
    """Tasks whose image and function nothing else uses: the image has a module of its own.

    Parameters
    ----------
    options
        The executor's options.
    service_for
        Returns the service that runs tasks with given options.
    account, local
        Stores from which everything it created is removed.
    """

    def __init__(
        self,
        options: Options,
        service_for: Callable[[Options], Service],
        account: AccountStores,
        local: LocalBuildStores,
    ) -> None:
        self._options = options
        self._service_for = service_for
        self._account = account
        self._local = local
        self.cost_usd = 0.0
        """List price of the invocations; 0 if nothing is billed."""

    def run(self, report: ReportProgress) -> Iterator[TrialStep]:
        """Yield the steps as they end; the last one removes everything that the others created.

        Raises
        ------
        LambdaContainerError
            A step failed; everything that was created is removed all the same.
        """
        token = uuid.uuid4().hex
        with tempfile.TemporaryDirectory(prefix="covalent-lambda-") as folder, ExitStack() as made:
            module = Path(folder, f"{_MODULE}.py")
            module.write_text(f'TOKEN = "{token}"\n', "utf-8")
            chosen = self._options.model_dump() | {"local_packages": [str(module)], "prewarm": 0}
            options = Options.check(chosen | {"reserved_concurrency": 0})
            service = self._service_for(options)
            small, large = _task(b""), _task(os.urandom(LARGE_BYTES))
            spec = image_spec(options, small)

            began = time.monotonic()
            made.callback(self._remove_image, spec)
            image = service.provisioner.ensure_image(spec, report)
            yield TrialStep("image", time.monotonic() - began, image.uri)

            began = time.monotonic()
            function = service.function_spec(image)
            made.callback(self._remove_function, function)
            service.provisioner.ensure_function(function, report)
            yield TrialStep("function", time.monotonic() - began, function.name)

            for name, task in (("small task", small), ("large task, through S3", large)):
                report(name)
                began = time.monotonic()
                outcome = asyncio.run(_run(service, task, token))
                seconds = time.monotonic() - began
                self._check(outcome, token)
                yield TrialStep(name, seconds, self._usage(outcome, function))

            report("removing")
            began = time.monotonic()
            made.close()
            kept = f"kept: log group /aws/lambda/{function.name}, and what later builds use"
            yield TrialStep("removal", time.monotonic() - began, kept)

    def _check(self, outcome: Outcome, token: str) -> None:
        if outcome.error is not None:
            raise InvocationError(
                f"The trial's task raised {outcome.error['type']}: {outcome.error['message']}"
            )
        if outcome.stdout != f"{token}\n":
            raise InvocationError(
                "The trial's task did not find its own module in the image: it printed "
                f"{outcome.stdout[:200]!r}."
            )

    def _usage(self, outcome: Outcome, function: FunctionSpec) -> str:
        used = Usage.measured(outcome.usage, function, outcome.log_tail)
        self.cost_usd += used.cost_usd or 0.0
        return used.line.partition(": ")[2]

    def _remove_function(self, function: FunctionSpec) -> None:
        self._account.functions.delete(function.name)

    def _remove_image(self, spec: ImageSpec) -> None:
        found: ImageReference | None = None
        with contextlib.suppress(LambdaContainerError):
            found = self._account.registry.find(spec.tag)
        if found is not None:
            self._account.registry.remove_images([found.digest])
        with contextlib.suppress(LambdaContainerError):
            for image in self._local.engine.list_images():
                for name in image.names:
                    if name.rpartition(":")[2] == spec.tag:
                        self._local.engine.remove_unused(name, image.id)


def _task(data: bytes) -> Task:
    def trial(data: bytes) -> bytes:
        import covalent_lambda_trial  # type: ignore[import-not-found]

        print(covalent_lambda_trial.TOKEN)
        return data

    function: Any = partial(wrapper_fn, TransportableObject(trial), [], [])
    return read_task(function, [TransportableObject(data)], {})


async def _run(service: Service, task: Task, token: str) -> Outcome:
    return await service.run(task, f"doctor-{token}", 0, cancellation=Cancellation())
