"""Calls a package of the client's that nothing installs; its folder is the argument."""

import sys
from pathlib import Path

import covalent as ct
from outcome import dispatch

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))

from ownpkg.shapes import Square, area

executor = ct.executor.AWSLambdaContainerExecutor(
    local_packages=["ownpkg", str(folder / "alone.py")]
)

# By reference: the function itself is found in the image.
area_of = ct.electron(area, executor=executor)


@ct.electron(executor=executor)
def square(side):
    return Square(side)


@ct.electron(executor=executor)
def label(value):
    import alone
    import ownpkg

    names = sorted(path.name for path in Path(ownpkg.__file__).parent.iterdir())
    return [alone.label(value), names]


# On the server, what the workflow refers to could not be imported.
@ct.lattice(workflow_executor=executor)
def workflow(side):
    return label(area_of(square(side)))


dispatch(workflow, 3)
