"""Imports modules missing in the image: a distribution's, the user's own, and an unknown one."""

import covalent as ct
from outcome import dispatch


@ct.electron(executor="awslambda_container")
def distribution():
    import psutil

    return psutil.__name__


@ct.electron(executor="awslambda_container")
def own():
    from covalent_lambda_container import errors

    return errors.__name__


@ct.electron(executor="awslambda_container")
def unknown():
    import no_such_module

    return no_such_module.__name__


@ct.lattice
def workflow():
    return [distribution(), own(), unknown()]


dispatch(workflow)
