import covalent as ct
from outcome import dispatch

at_runtime = ct.executor.AWSLambdaContainerExecutor(bash_deps="runtime")
after_packages = ct.executor.AWSLambdaContainerExecutor(bash_deps="after_packages")
version = "python3 -c 'import six; print(six.__version__)'"
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


@ct.electron(
    executor=after_packages,
    deps_pip=ct.DepsPip(["six==1.17.0"]),
    deps_bash=ct.DepsBash(["mkdir /opt/made", f"{version} > /opt/made/version"]),
)
def from_packages():
    with open("/opt/made/version") as file:
        return file.read().strip()


@ct.electron(
    executor=at_runtime,
    deps_pip=ct.DepsPip(["six==1.17.0"]),
    deps_bash=ct.DepsBash([f"{version} > version"]),
)
def from_packages_at_runtime():
    with open("version") as file:
        return file.read().strip()


@ct.electron(executor=at_runtime, deps_bash=ct.DepsBash(commands))
def from_runtime():
    with open("made") as one, open("/tmp/made-task") as other:
        return [one.read().strip(), other.read().strip()]


@ct.lattice
def workflow():
    return [from_build(), from_runtime(), from_packages(), from_packages_at_runtime()]


dispatch(workflow)
