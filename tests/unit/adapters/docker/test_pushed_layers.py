"""The progress of a push, from Docker's stream."""

from __future__ import annotations

from typing import Any

from covalent_lambda_container.adapters.docker.streams import follow_push
from covalent_lambda_container.progress import reported_to


def sending(current: int) -> dict[str, Any]:
    detail = {"current": current, "total": 85_000_000}
    return {"id": "1a", "status": "Pushing", "progressDetail": detail}


def test_a_push_reports_layers_and_bytes() -> None:
    stream: list[dict[str, Any]] = [
        {"status": "The push refers to repository [registry.example.com]"},
        {"id": "1a", "status": "Preparing"},
        {"id": "2b", "status": "Preparing"},
        {"id": "2b", "status": "Layer already exists"},
        sending(41_000_000),
        # Docker counts padding, too.
        sending(86_000_000),
        {"id": "1a", "status": "Pushed"},
        {"aux": {"Digest": "sha256:0a"}},
    ]
    reported: list[str] = []
    with reported_to(reported.append):
        assert follow_push(stream, "registry.example.com/name:tag") == "sha256:0a"
    assert list(dict.fromkeys(reported)) == [
        "pushing: 0 of 1 layers",
        "pushing: 0 of 2 layers",
        "pushing: 1 of 2 layers",
        "pushing: 1 of 2 layers, 41 of 85 MB",
        "pushing: 1 of 2 layers, 86 of 86 MB",
        "pushing: 2 of 2 layers, 86 of 86 MB",
    ]
