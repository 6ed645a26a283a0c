import covalent as ct
from outcome import dispatch

packages = ct.DepsPip(packages=["six==1.16.0"])


@ct.electron(executor="awslambda_container", deps_pip=packages)
def work(n):
    import six

    return six.__name__, n


@ct.lattice
def workflow():
    return [work(n) for n in range(10)]


dispatch(workflow)
