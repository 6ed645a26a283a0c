import covalent as ct
from outcome import dispatch

packages = ct.DepsPip(packages=["iniconfig==2.0.0"])


@ct.electron(executor="awslambda_container", deps_pip=packages)
def work(n):
    import iniconfig

    return iniconfig.__name__, n


@ct.lattice
def workflow():
    return [work(n) for n in range(10)]


dispatch(workflow)
