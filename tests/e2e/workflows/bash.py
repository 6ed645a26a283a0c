import covalent as ct
from outcome import dispatch

at_runtime = ct.executor.AWSLambdaContainerExecutor(bash_deps="runtime")
commands = ["echo made by bash > made", "cp made /tmp/made-$(basename $(pwd) | cut -c1-4)"]


@ct.electron(
    executor="awslambda_container",
    deps_bash=ct.DepsBash(
        ["mkdir -p /opt/made", 'echo "$HOME" > /opt/made/by-build; date > /opt/made/date']
    ),
)
def from_build():
    with open("/opt/made/by-build") as file:
        return file.read().strip()


@ct.electron(executor=at_runtime, deps_bash=ct.DepsBash(commands))
def from_runtime():
    with open("made") as one, open("/tmp/made-task") as other:
        return [one.read().strip(), other.read().strip()]


@ct.lattice
def workflow():
    return [from_build(), from_runtime()]


dispatch(workflow)
