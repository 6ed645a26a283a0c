import tempfile
from pathlib import Path

import covalent as ct
from outcome import dispatch

with tempfile.TemporaryDirectory() as folder:
    requirements = Path(folder) / "requirements.txt"
    requirements.write_text("# two of them\nhumanize==4.11.0  # numbers\n\nInflection==0.5.1\n")
    packages = ct.DepsPip(reqs_path=str(requirements))


def greeting(name, mark="."):
    import humanize

    return f"{name}, {humanize.intword(3_000_000)}{mark}"


def farewell():
    print("after")


@ct.electron(
    executor="awslambda_container",
    deps_pip=packages,
    call_before=[
        ct.DepsCall(greeting, args=["a"], retval_keyword="notes"),
        ct.DepsCall(greeting, args=["b"], kwargs={"mark": "!"}, retval_keyword="notes"),
        ct.DepsCall(greeting, args=["c"], retval_keyword="single"),
    ],
    call_after=ct.DepsCall(farewell),
)
def work(x, notes=None, single=None):
    import inflection

    return [inflection.singularize(x), notes, single]


@ct.lattice
def workflow():
    return work("mice")


dispatch(workflow)
