"""Dispatches a workflow, then again with and without its earlier results."""

import json
import sys

import covalent as ct

EXECUTOR = "awslambda_container"


@ct.electron(executor=EXECUTOR)
def double(x):
    return 2 * x


@ct.electron(executor=EXECUTOR)
def total(numbers):
    return sum(numbers)


@ct.electron(executor=EXECUTOR)
def negative_total(numbers):
    return -sum(numbers)


@ct.lattice
def workflow(x):
    return total([double(x), double(10)])


def record(dispatch_id):
    result = ct.get_result(dispatch_id, wait=True)
    return {"id": dispatch_id, "status": str(result.status), "result": result.result}


first = ct.dispatch(workflow)(1)
records = [record(first)]
again = [
    ct.redispatch(first, reuse_previous_results=True)(1),
    ct.redispatch(first, reuse_previous_results=False)(1),
    ct.redispatch(first, replace_electrons={"total": negative_total}, reuse_previous_results=True)(
        1
    ),
    ct.redispatch(first, reuse_previous_results=True)(2),
]
records += map(record, again)
sys.stdout.write("\n" + json.dumps(records) + "\n")
