"""Cancels a dispatch some seconds after its electron began; prints how long the end took."""

import json
import sys
import time

import covalent as ct

wait_s, package = float(sys.argv[1]), sys.argv[2]
executor = ct.executor.AWSLambdaContainerExecutor(timeout=120, poll_freq=2)


@ct.electron(executor=executor, deps_pip=ct.DepsPip([package]))
def sleep(port):
    import subprocess
    import time

    print("sleeping", flush=True)
    try:
        subprocess.run(["sleep", "60"])
        time.sleep(60)
    finally:
        print("ended", flush=True)


@ct.lattice
def workflow(port):
    return sleep(port)


dispatch_id = ct.dispatch(workflow)(0)
time.sleep(wait_s)
started = time.monotonic()
ct.cancel(dispatch_id)
result = ct.get_result(dispatch_id, wait=True)
record = {"status": str(result.status), "seconds": time.monotonic() - started, "id": dispatch_id}
sys.stdout.write("\n" + json.dumps(record) + "\n")
