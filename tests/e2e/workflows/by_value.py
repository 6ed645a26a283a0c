"""A module that only the client has, sent with DepsModule."""

import sys
from pathlib import Path

import covalent as ct
from outcome import dispatch

sys.path.insert(0, str(Path(__file__).parent / "modules"))

import mathematics


@ct.electron(executor="awslambda_container", deps_module=ct.DepsModule(mathematics))
def work(x):
    return mathematics.scaled(x)


@ct.lattice
def workflow(x):
    return work(x)


dispatch(workflow, 3)
