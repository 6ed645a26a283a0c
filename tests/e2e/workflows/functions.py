"""Functions and values of every kind that cloudpickle sends by value."""

import asyncio
from dataclasses import dataclass

import covalent as ct
from outcome import dispatch


@dataclass
class Point:
    x: int
    y: int = 2


def closure(n):
    def add(x):
        return x + n

    return add


@ct.electron
def point(x):
    return Point(x)


@ct.electron
def moved(p):
    @dataclass
    class Local:
        at: Point

    return Local(Point(p.x + 1, p.y))


@ct.electron
def read(local):
    return [local.at.x, local.at.y]


def points(count):
    for x in range(count):
        yield Point(x)


@ct.electron
def generated(count):
    return list(points(count))


@ct.electron
def rightmost(found):
    return max(point.x for point in found)


@ct.electron
def looped(x):
    async def slow():
        await asyncio.sleep(0)
        return x

    return asyncio.run(slow())


add_three = ct.electron(closure(3))
negate = ct.electron(lambda x: -x)


@ct.electron
def plural(word):
    import inflection

    return inflection.pluralize(word)


@ct.lattice(executor="awslambda_container", deps_pip=ct.DepsPip(["inflection==0.5.1"]))
def workflow(x):
    first = looped(x)
    second = negate(x)
    ct.wait(second, [first])
    numbers = [add_three(x), second, first, rightmost(generated(x))]
    return [read(moved(point(x))), numbers, plural("octopus")]


dispatch(workflow, 4)
