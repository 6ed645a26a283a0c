"""A whole lattice on the executor: sublattice, post-processing."""

import covalent as ct
from outcome import dispatch

EXECUTOR = ct.executor.AWSLambdaContainerExecutor(memory_size=1024, timeout=120)


@ct.electron(executor=EXECUTOR)
def double(x):
    return 2 * x


@ct.electron(executor=EXECUTOR)
@ct.lattice(executor=EXECUTOR, workflow_executor=EXECUTOR)
def twice(x):
    return double(double(x))


@ct.lattice(executor=EXECUTOR, workflow_executor=EXECUTOR)
def workflow(x):
    return [twice(x), double(x), {"answer": double(20)}]


dispatch(workflow, 5)
