"""Images as a registry has them: configuration, manifest, and what Dockerfiles change in them."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from covalent_lambda_container.adapters.registry.layer_store import LAYER_TYPE, Layer

MANIFEST_TYPE: Final = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE: Final = "application/vnd.docker.container.image.v1+json"

_NO_TIME: Final = "1970-01-01T00:00:00Z"
"""When every image was made: one spec has one manifest."""
_DEFAULT_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNCHANGING: Final = ("ARG", "FROM")


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction of a Dockerfile.

    Parameters
    ----------
    name
        ``"ADD"``, ``"ENV"``, …
    arguments
        What follows it, on one line.
    comments
        The lines of the comment above it, without their number signs.
    """

    name: str
    arguments: str
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """An image that is made, or read from a registry.

    Parameters
    ----------
    config
        Its configuration, without layers and history: ``{"architecture": …, "config": …}``.
    history
        Its history, as configurations have it.
    layers
        From the lowest up.
    """

    config: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...] = ()
    layers: tuple[Layer, ...] = field(default=())

    @property
    def config_json(self) -> bytes:
        """Its configuration, as a blob."""
        rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]}
        whole = {**self.config, "history": list(self.history), "rootfs": rootfs}
        return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()

    @property
    def id(self) -> str:
        """``"sha256:…"`` of its configuration."""
        return f"sha256:{hashlib.sha256(self.config_json).hexdigest()}"

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.config.get("config", {}).get("Labels") or {})

    @property
    def manifest(self) -> bytes:
        """Its manifest: of a single platform, with Docker's media types throughout."""
        config = self.config_json
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        content = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "size": len(config), "digest": digest},
            "layers": [
                {"mediaType": LAYER_TYPE, "size": layer.size, "digest": layer.digest}
                for layer in self.layers
            ],
        }
        return json.dumps(content, separators=(",", ":")).encode()

    @property
    def json(self) -> str:
        """All of it, as text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of_json(cls, text: str) -> ImageRecord:
        """Return what `json` was made from."""
        content = json.loads(text)
        layers = tuple(Layer(**layer) for layer in content["layers"])
        return cls(config=content["config"], history=tuple(content["history"]), layers=layers)


def instructions(dockerfile: str) -> Iterator[Instruction]:
    """Yield a Dockerfile's instructions."""
    comments: list[str] = []
    for line in re.sub(r"\\\n", " ", dockerfile).splitlines():
        text = line.strip()
        if text.startswith("#"):
            comments.append(text.lstrip("# "))
        elif text:
            name, _, arguments = text.partition(" ")
            yield Instruction(
                name=name.upper(), arguments=arguments.strip(), comments=tuple(comments)
            )
            comments = []
        else:
            comments = []


def changed(
    image: ImageRecord,
    steps: Sequence[tuple[Instruction, Layer | None]],
    labels: Mapping[str, str],
) -> ImageRecord:
    """Return an image with what a Dockerfile's instructions add, and with labels.

    Parameters
    ----------
    steps
        Instructions, each with its layer if it makes one.

    Raises
    ------
    ValueError
        When an instruction needs a container.
    """
    config = copy.deepcopy(dict(image.config))
    config["created"] = _NO_TIME
    settings = config["config"] = dict(config.get("config") or {})
    history, layers = [*image.history], [*image.layers]
    for instruction, layer in steps:
        if instruction.name == "FROM":
            _set_path(settings)
        if instruction.name in _UNCHANGING:
            continue
        if layer is None:
            _set(settings, instruction)
        else:
            layers.append(layer)
        entry = {"created": _NO_TIME, "created_by": f"{instruction.name} {instruction.arguments}"}
        if instruction.comments:
            entry["comment"] = ", ".join(instruction.comments)
        history.append(entry if layer is not None else entry | {"empty_layer": True})
    if labels:
        settings["Labels"] = {**(settings.get("Labels") or {}), **labels}
    return ImageRecord(config=config, history=tuple(history), layers=tuple(layers))


def _set_path(settings: dict[str, Any]) -> None:
    """Set PATH where the image below has none, as Docker does."""
    given = settings.get("Env") or []
    if not any(pair.startswith("PATH=") for pair in given):
        settings["Env"] = [*given, _DEFAULT_PATH]


def _set(settings: dict[str, Any], instruction: Instruction) -> None:
    name, text = instruction.name, instruction.arguments
    if name == "ENV":
        given = dict(pair.split("=", 1) for pair in shlex.split(text))
        kept = [pair.split("=", 1) for pair in settings.get("Env") or ()]
        merged = {**{pair[0]: pair[-1] for pair in kept}, **given}
        settings["Env"] = [f"{key}={value}" for key, value in merged.items()]
    elif name == "WORKDIR":
        settings["WorkingDir"] = text
    elif name == "ENTRYPOINT":
        settings["Entrypoint"], settings["Cmd"] = json.loads(text), None
    elif name == "CMD":
        settings["Cmd"] = json.loads(text)
    else:
        raise ValueError(f"{name} {text}")
