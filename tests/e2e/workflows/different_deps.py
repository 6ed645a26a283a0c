import covalent as ct
from outcome import dispatch


@ct.electron(executor="awslambda_container", deps_pip=ct.DepsPip(["humanize==4.11.0"]))
def words(number):
    import importlib.util

    import humanize

    return humanize.intcomma(number), importlib.util.find_spec("inflection") is None


@ct.electron(executor="awslambda_container", deps_pip=ct.DepsPip(packages="inflection==0.5.1"))
def plural(word):
    import importlib.util

    import inflection

    return inflection.pluralize(word), importlib.util.find_spec("humanize") is None


@ct.lattice
def workflow():
    return [words(1234567), plural("octopus")]


dispatch(workflow)
