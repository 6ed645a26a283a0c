"""Cancels a dispatch after some seconds, or lets it end for 0; prints how long the end took."""

import json
import sys
import time

import covalent as ct

wait_s, package = float(sys.argv[1]), sys.argv[2]
executor = ct.executor.AWSLambdaContainerExecutor(timeout=120, poll_freq=2)


@ct.electron(executor=executor, deps_pip=ct.DepsPip([package]))
def sleep(seconds):
    import subprocess
    import time

    print("sleeping", flush=True)
    try:
        subprocess.run(["sleep", str(seconds)])
        time.sleep(seconds)
    finally:
        print("ended", flush=True)


@ct.lattice
def workflow(seconds):
    return sleep(seconds)


dispatch_id = ct.dispatch(workflow)(60 if wait_s else 0)
time.sleep(wait_s)
started = time.monotonic()
if wait_s:
    ct.cancel(dispatch_id)
result = ct.get_result(dispatch_id, wait=True)
record = {
    "status": str(result.status),
    "seconds": time.monotonic() - started,
    "id": dispatch_id,
    "stdout": result.get_node_result(0)["stdout"],
}
sys.stdout.write("\n" + json.dumps(record) + "\n")
