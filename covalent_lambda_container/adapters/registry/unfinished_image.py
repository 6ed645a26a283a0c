"""An image whose layers are being compressed."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from covalent_lambda_container.adapters.registry.image_record import (
    ImageRecord,
    Instruction,
    changed,
)
from covalent_lambda_container.adapters.registry.layer_store import Layer
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.cancellation import Cancellation


@dataclass(frozen=True)
class UnfinishedImage:
    """What an image is made of, as far as that is known.

    Parameters
    ----------
    base
        The image below it.
    steps
        Instructions above that, each with its layer if it makes one.
    labels
        Labels that it adds.
    given_up
        Requested when nobody wants it any more.
    """

    base: ImageRecord
    steps: tuple[tuple[Instruction, Future[Layer] | None], ...]
    labels: Mapping[str, str]
    given_up: Cancellation

    def result(self) -> ImageRecord:
        """Wait for its layers; return it."""
        steps = [(each, cancellable.result(layer) if layer else None) for each, layer in self.steps]
        return changed(self.base, steps, self.labels)

    def give_up(self) -> list[Layer]:
        """Stop compressing; return the layers that are complete, with those of the base."""
        self.given_up.request()
        made = [layer for _, layer in self.steps if layer]
        whole = [each.result() for each in made if each.exception() is None]
        return [*self.base.layers, *whole]
