"""Arrays, models and frames pass between electrons that do not name each other's packages."""

import importlib.util

import covalent as ct
from outcome import dispatch

for package in ("numpy", "pandas", "sklearn"):
    assert importlib.util.find_spec(package) is None

EXECUTOR = "awslambda_container"


@ct.electron(executor=EXECUTOR, deps_pip=ct.DepsPip(["numpy==2.2.6"]))
def load(n):
    import numpy

    return numpy.arange(n)


@ct.electron(executor=EXECUTOR, deps_pip=ct.DepsPip(["numpy==2.2.6"]))
def pair():
    import numpy

    return numpy.ones(3), numpy.zeros(4)


@ct.electron(executor=EXECUTOR)
def total(arrays):
    values = arrays.values() if isinstance(arrays, dict) else arrays
    return sum(int(array.sum()) for array in values)


@ct.electron(executor=EXECUTOR)
def length(array):
    return len(array)


@ct.lattice(workflow_executor=EXECUTOR)
def workflow():
    ones, zeros = pair()
    summed = total([load(3), load(4)])
    named = total({"a": load(5), "b": load(3)})
    # Operators, and the list that is returned, run on the workflow's executor.
    return [summed, named, summed + 1, length(ones), length(zeros), total([load(3) + 1])]


dispatch(workflow)
