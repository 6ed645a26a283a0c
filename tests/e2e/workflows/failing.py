import covalent as ct
from outcome import dispatch


@ct.electron(executor="awslambda_container")
def divide(x):
    print("dividing", x)
    return x / 0


@ct.lattice
def workflow(x):
    return divide(x)


dispatch(workflow, 7)
