import sys

import covalent as ct
from outcome import dispatch

PACKAGES = sys.argv[1:]


@ct.electron(
    executor="awslambda_container",
    deps_pip=ct.DepsPip(PACKAGES),
    # Shows what a command of a build is given.
    deps_bash=ct.DepsBash(["env"]),
)
def versions(names):
    import importlib

    return [importlib.import_module(name).VERSION for name in names]


@ct.lattice
def workflow(names):
    return versions(names)


dispatch(workflow, [package.partition("==")[0] for package in PACKAGES])
