"""Passes an object whose class exists only in the images."""

import importlib.util

import covalent as ct
from outcome import dispatch

assert importlib.util.find_spec("pyrsistent") is None
packages = ct.DepsPip(packages=["pyrsistent==0.20.0"])


@ct.electron(executor="awslambda_container", deps_pip=packages)
def make(n):
    from pyrsistent import pvector

    return pvector(range(n))


@ct.electron(executor="awslambda_container", deps_pip=packages)
def total(vector):
    return type(vector).__module__, sum(vector)


@ct.lattice
def workflow(n):
    return total(make(n))


dispatch(workflow, 10)
