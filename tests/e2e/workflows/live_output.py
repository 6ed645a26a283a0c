"""Watches the output in nodes while tasks print, through Covalent's interfaces and a command."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from threading import Thread

import covalent as ct
from covalent._shared_files.utils import format_server_url
from requests.exceptions import RequestException


def executor(**options):
    return ct.executor.AWSLambdaContainerExecutor(environment={"LIVE": "1"}, **options)


def speak(seconds):
    import sys
    import time

    for second in range(seconds):
        print(f"{time.time():.3f} line {second}", flush=True)
        if second == 3:
            print("a warning", file=sys.stderr)
        time.sleep(1)
    # A progress bar, a colour, a line of Windows, a separator that ends no line.
    print("10%\r20%\r\x1b[1mdone\x1b[0m\r\n\t \u2028\x0c\x00")
    print("the end, \N{GRINNING FACE}", end="")
    return seconds


live = ct.electron(speak, executor=executor(timeout=120))
kept = ct.electron(speak, executor=executor(timeout=120, live_output=False))
too_long = ct.electron(speak, executor=executor(timeout=12))


@ct.lattice
def workflow():
    return live(18), kept(12), too_long(60)


def page(dispatch_id: str, node: int) -> str:
    url = f"{format_server_url()}/api/v1/dispatches/{dispatch_id}/electron/{node}/details/error"
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)["data"] or ""


def nodes_of(result):
    graph = result.lattice.transport_graph
    wanted = [node for node in graph._graph.nodes if graph.get_node_value(node, "name") == "speak"]
    return sorted(wanted)


def follow(dispatch_id: str, lines: list[tuple[float, str]]) -> None:
    program = Path(sys.executable).with_name("covalent-lambda")
    arguments = ["logs", "--dispatch", dispatch_id, "--follow", "--json"]
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True) as process:
        lines.extend((time.time(), json.loads(line)) for line in process.stdout)


dispatch_id = ct.dispatch(workflow)()
followed: list[tuple[float, str]] = []
following = Thread(target=follow, args=(dispatch_id, followed))
following.start()
seen: dict[str, list[tuple[float, str, str, str]]] = {"live": [], "kept": [], "too_long": []}
while True:
    try:
        result = ct.get_result(dispatch_id, workflow_output=False, intermediate_outputs=False)
    except RequestException:
        # Covalent serves a file while it writes it again.
        continue
    for name, node in zip(seen, nodes_of(result), strict=True):
        state = result.get_node_result(node)
        shown = (state["stdout"] or "", state["stderr"] or "", page(dispatch_id, node))
        if [shown] != [entry[1:] for entry in seen[name][-1:]]:
            seen[name].append((time.time(), *shown))
    if str(result.status) in ("COMPLETED", "FAILED", "CANCELLED"):
        break
    time.sleep(0.3)
following.join(30)
record = {"dispatch_id": dispatch_id, "seen": seen, "nodes": nodes_of(result)}
print(json.dumps(record | {"followed": followed}))
