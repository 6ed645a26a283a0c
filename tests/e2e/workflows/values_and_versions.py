"""Passes an array to electrons with other packages, and to one whose NumPy cannot read it."""

import covalent as ct
from outcome import dispatch

EXECUTOR = "awslambda_container"


@ct.electron(executor=EXECUTOR, deps_pip=ct.DepsPip(["numpy==2.2.6"]))
def make(n):
    import numpy

    return numpy.arange(n)


@ct.electron(executor=EXECUTOR, deps_pip=ct.DepsPip(["numpy==1.26.4"]))
def older(values):
    return int(values.sum())


@ct.electron(executor=EXECUTOR, deps_pip=ct.DepsPip(["contourpy==1.1.1"]))
def capped(values):
    return int(values.sum())


@ct.lattice
def workflow(n):
    values = make(n)
    return [older(values), capped(values)]


dispatch(workflow, 4)
