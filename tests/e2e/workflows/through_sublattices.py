"""Passes values, with their packages, through sublattices whose graphs are built in Lambda."""

import importlib.util

import covalent as ct
from outcome import dispatch
from packaging.version import Version

assert importlib.util.find_spec("numpy") is None

EXECUTOR = "awslambda_container"


@ct.electron(executor=EXECUTOR, deps_pip=ct.DepsPip(["numpy==2.2.6"]))
def rows(n):
    import numpy

    return [numpy.full(2, i) for i in range(n)]


@ct.electron(executor=EXECUTOR)
def total(row):
    return int(row.sum())


@ct.electron(executor=EXECUTOR)
@ct.lattice(executor=EXECUTOR, workflow_executor=EXECUTOR)
def for_each(found):
    return [total(row) for row in found]


@ct.electron(executor=EXECUTOR)
def shown(version):
    return str(version)


@ct.electron(executor=EXECUTOR)
@ct.lattice(executor="local")
def on_the_server(version):
    return shown(version)


@ct.electron(executor=EXECUTOR)
def context():
    found = ct.get_context()
    return [found.dispatch_id, found.task_id]


@ct.lattice(executor=EXECUTOR, workflow_executor=EXECUTOR)
def workflow(n, version):
    return [for_each(rows(n)), shown(version), on_the_server(version), context()]


dispatch(workflow, 3, Version("1.2"))
