"""Covalent's server as its clients read it: dispatches, and the files of their nodes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from covalent._dispatcher_plugins.local import LocalDispatcher
from covalent._workflow.transport import TransportableObject

from tests.fakes.loopback import LoopbackHandler, LoopbackServer

Record = dict[str, Any]


class _Handler(LoopbackHandler):
    fake: FakeCovalentServer

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        manifest = self.fake.manifests.get(self.path.removeprefix("/api/v2/dispatches/"))
        if self.path in self.fake.files:
            self.answer(200, self.fake.files[self.path], {})
        elif self.path.startswith("/files/"):
            # As Covalent's server does for what was not written yet.
            self.answer(500, b"Internal Server Error", {})
        elif manifest:
            content = json.dumps(manifest).encode()
            self.answer(200, content, {"Content-Type": "application/json"})
        else:
            self.answer(404, b"{}", {"Content-Type": "application/json"})


class FakeCovalentServer(LoopbackServer):
    """A server that dispatches nothing: tests say what became of each node.

    Attributes
    ----------
    manifests
        Dispatches by their id, as the JSON of ``ResultSchema`` of Covalent.
    files
        Content by path.
    """

    handler = _Handler

    def __init__(self) -> None:
        super().__init__()
        self.manifests: dict[str, Record] = {}
        self.files: dict[str, bytes] = {}

    def add(self, dispatch_id: str, lattice: Any, *args: Any) -> None:
        """Add a dispatch of a lattice, none of whose nodes has run."""
        lattice.build_graph(*args)
        with tempfile.TemporaryDirectory() as folder:
            made = LocalDispatcher.prepare_manifest(lattice, folder)
            manifest: Record = json.loads(made.model_dump_json())
            for path, asset in _assets(dispatch_id, manifest):
                asset["remote_uri"] = self.url + path
                uri, asset["uri"] = asset["uri"], None
                if uri:
                    self.files[path] = Path(uri.removeprefix("file://")).read_bytes()
        self.manifests[dispatch_id] = manifest

    def node(self, dispatch_id: str, name: str) -> Record:
        """Return a node, to be changed, by the beginning of its name."""
        nodes = self.manifests[dispatch_id]["lattice"]["transport_graph"]["nodes"]
        found: Record = next(node for node in nodes if node["metadata"]["name"].startswith(name))
        return found

    def end(
        self,
        dispatch_id: str,
        name: str,
        state: str = "COMPLETED",
        *,
        header: Mapping[str, Any] | None = None,
        **texts: str,
    ) -> None:
        """Give a node a state, texts, and a value of that header; without a header it has none."""
        node = self.node(dispatch_id, name)
        node["metadata"]["status"] = state
        contents = {key: text.encode() for key, text in texts.items()}
        contents["output"] = b""
        if header is not None:
            value = TransportableObject("a value")
            value._header |= header
            contents["output"] = value.serialize()
        for key, content in contents.items():
            self.write(node["assets"][key], content)

    def write(self, asset: Record, content: bytes) -> None:
        """Store the content of a file."""
        asset["size"] = len(content)
        self.files[self.path_of(asset)] = content

    def path_of(self, asset: Record) -> str:
        """Return where a file is."""
        return str(asset["remote_uri"]).removeprefix(self.url)


def _assets(dispatch_id: str, manifest: Record) -> Iterator[tuple[str, Record]]:
    """Yield the files of a dispatch, each with a path of its own."""
    lattice = manifest["lattice"]
    owners = {"": manifest, "lattice/": lattice}
    owners |= {f"node_{node['id']}/": node for node in lattice["transport_graph"]["nodes"]}
    for place, owner in owners.items():
        for key, asset in owner["assets"].items():
            yield f"/files/{dispatch_id}/{place}{key}", asset
