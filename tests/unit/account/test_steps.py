"""The set-up of an account as steps: what is shown is what is done."""

from __future__ import annotations

import pytest

from covalent_lambda_container.account import steps as account
from covalent_lambda_container.account.resources import Resource, Setting
from covalent_lambda_container.errors import ConfigurationError


class Thing(Resource):
    """A resource in memory, with two settings."""

    kind = "thing"

    def __init__(self, name: str = "it", *, there: bool = False, ours: bool = False) -> None:
        self.name = name
        self.there = there
        self.ours = ours
        self.holding: set[str] = set()
        self.in_the_way: list[str] = []

    def exists(self) -> bool:
        return self.there

    def is_ours(self) -> bool:
        return self.ours

    def create(self) -> None:
        self.there = self.ours = True

    def adopt(self) -> None:
        self.ours = True

    def settings(self) -> list[Setting]:
        return [self._setting(name) for name in ("private", "tidy")]

    def obstacles(self) -> list[str]:
        return self.in_the_way

    def delete(self) -> None:
        self.there = False

    def _setting(self, name: str) -> Setting:
        return Setting(name, lambda: name in self.holding, lambda: self.holding.add(name))


def actions(steps: list[account.Step]) -> list[tuple[str, str]]:
    return [(step.action, step.detail) for step in steps]


def test_missing_resources_are_created_with_all_settings() -> None:
    thing = Thing()
    steps = account.plan_bootstrap([thing])
    assert actions(steps) == [("create", ""), ("set", "private"), ("set", "tidy")]
    assert not thing.there
    reported: list[account.Step] = []
    account.apply(steps, reported.append)
    assert reported == steps
    assert thing.there
    assert thing.holding == {"private", "tidy"}


def test_the_second_time_nothing_is_done() -> None:
    thing = Thing()
    account.apply(account.plan_bootstrap([thing]), lambda _: None)
    again = account.plan_bootstrap([thing])
    assert actions(again) == [("keep", "private"), ("keep", "tidy")]
    assert not any(step.changes for step in again)


def test_manual_changes_are_undone() -> None:
    thing = Thing(there=True, ours=True)
    thing.holding = {"private"}
    assert actions(account.plan_bootstrap([thing])) == [("keep", "private"), ("set", "tidy")]


def test_resources_of_others_are_not_changed() -> None:
    thing = Thing(there=True)
    steps = account.plan_bootstrap([thing])
    assert [step.action for step in steps] == ["leave", "leave"]
    account.apply(steps, lambda _: None)
    assert thing.holding == set()
    assert not thing.ours


def test_resources_of_others_can_be_adopted() -> None:
    thing = Thing(there=True)
    account.apply(account.plan_bootstrap([thing], adopt=True), lambda _: None)
    assert thing.ours
    assert thing.holding == {"private", "tidy"}


def test_the_last_made_is_removed_first() -> None:
    things = [Thing("first", there=True, ours=True), Thing("last", there=True, ours=True)]
    steps = account.plan_teardown(things)
    assert [(step.action, step.name) for step in steps] == [("delete", "last"), ("delete", "first")]
    account.apply(steps, lambda _: None)
    assert not any(thing.there for thing in things)


def test_resources_of_others_and_absent_ones_are_not_removed() -> None:
    steps = account.plan_teardown([Thing(there=True), Thing()])
    assert [step.action for step in steps] == ["absent", "leave"]
    assert not any(step.changes for step in steps)


def test_nothing_is_removed_if_a_resource_has_contents_of_others() -> None:
    free, full = Thing("free", there=True, ours=True), Thing("full", there=True, ours=True)
    full.in_the_way = ["it holds photographs"]
    with pytest.raises(ConfigurationError, match=r"full: it holds photographs(.|\n)*--force"):
        account.apply(account.plan_teardown([full, free]), lambda _: None)
    assert free.there
    account.apply(account.plan_teardown([full, free], force=True), lambda _: None)
    assert not full.there


def test_a_step_names_its_action_and_its_resource() -> None:
    step = account.Step("set", "bucket", "jobs", "public access is blocked")
    assert str(step) == "set    bucket jobs: public access is blocked"
