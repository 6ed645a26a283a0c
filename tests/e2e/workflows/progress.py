"""Watches a node through Covalent's own interfaces, from its dispatch to its end."""

import json
import time
import urllib.request
import uuid

import covalent as ct
from covalent._shared_files.utils import format_server_url
from requests.exceptions import RequestException

executor = ct.executor.AWSLambdaContainerExecutor(environment={"PROGRESS": "1"})


@ct.electron(
    executor=executor,
    deps_pip=ct.DepsPip(packages=["six==1.17.0"]),
    # A command of its own each time: neither registry nor engine has the image, or a layer of it.
    deps_bash=ct.DepsBash([f"sleep 8 # {uuid.uuid4()}"]),
)
def work():
    import sys

    print("printed\nby the task", end="")
    print("a warning", file=sys.stderr)
    return 1


@ct.lattice
def workflow():
    return work()


def page(dispatch_id: str) -> str:
    url = f"{format_server_url()}/api/v1/dispatches/{dispatch_id}/electron/0/details/error"
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)["data"] or ""


dispatch_id = ct.dispatch(workflow)()
seen: list[str] = []
shown: list[str] = []
while True:
    try:
        result = ct.get_result(dispatch_id, workflow_output=False, intermediate_outputs=False)
    except RequestException:
        # Covalent serves a file while it writes it again.
        continue
    stdout = result.get_node_result(0)["stdout"] or ""
    if [stdout] != seen[-1:]:
        seen.append(stdout)
    if [page(dispatch_id)] != shown[-1:]:
        shown.append(page(dispatch_id))
    if str(result.status) in ("COMPLETED", "FAILED", "CANCELLED"):
        break
    time.sleep(0.3)
print(json.dumps({"dispatch_id": dispatch_id, "seen": seen, "shown": shown}))
