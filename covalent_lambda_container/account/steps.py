"""One-time set-up of an AWS account, as steps that can be shown before they are applied.

Resources without this project's tag are never changed or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from covalent_lambda_container.account.bucket import BucketResource
from covalent_lambda_container.account.repository import RepositoryResource
from covalent_lambda_container.account.resources import Resource
from covalent_lambda_container.account.role import RoleResource
from covalent_lambda_container.adapters.aws.aws_errors import explained
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.iam.documents import Deployment
from covalent_lambda_container.options.schema import Options

CREATE: Final = "create"
SET: Final = "set"
ADOPT: Final = "adopt"
KEEP: Final = "keep"
LEAVE: Final = "leave"
DELETE: Final = "delete"
REFUSE: Final = "refuse"
ABSENT: Final = "absent"


@dataclass(frozen=True)
class Step:
    """One change to an account, or a reason not to change anything.

    Attributes
    ----------
    action
        `CREATE`, `SET`, `ADOPT` or `DELETE` change something; `KEEP`: it is already correct;
        `LEAVE`: it does not belong to this project; `REFUSE`: removing it would remove contents of
        others; `ABSENT`: there is nothing to remove.
    kind, name
        The resource: ``"bucket"`` and its name.
    detail
        The setting, or the reason.
    """

    action: str
    kind: str
    name: str
    detail: str = ""
    _apply: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)

    @property
    def changes(self) -> bool:
        """Whether applying the step changes the account."""
        return self.action in (CREATE, SET, ADOPT, DELETE)

    def apply(self) -> None:
        """Apply the step."""
        self._apply()

    def __str__(self) -> str:
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.action:6} {self.kind} {self.name}{detail}"


def deployment(clients: AwsClients, options: Options, *, account: str | None = None) -> Deployment:
    """Return the names of a deployment.

    Parameters
    ----------
    clients
        AWS clients; their region is the deployment's.
    options
        The executor's options, with the names of bucket, repository and role.
    account
        Number of the account; None to ask AWS for that of the credentials.
    """
    if account is None:
        with explained("get the account of", clients.target.profile or "the credentials"):
            account = clients.sts.get_caller_identity()["Account"]
    meta = clients.ecr.meta
    return Deployment(
        account=account,
        region=meta.region_name,
        partition=meta.partition,
        bucket=options.s3_bucket_name,
        repository=options.ecr_repository,
        role=options.lambda_role_name,
    )


def resources(
    clients: AwsClients, names: Deployment, *, vpc: bool = False, file_system: str = ""
) -> list[Resource]:
    """Return the resources that the account needs, in order of creation.

    Parameters
    ----------
    vpc
        Whether the role may connect functions to a VPC.
    """
    return [
        BucketResource(clients, names.bucket, account=names.account),
        RepositoryResource(clients, names.repository),
        RoleResource(clients, names, vpc=vpc, file_system=file_system),
    ]


def plan_bootstrap(wanted: Iterable[Resource], *, adopt: bool = False) -> list[Step]:
    """Return the steps that set up an account; change nothing.

    Parameters
    ----------
    wanted
        The resources, as `resources` returns them.
    adopt
        Whether to adopt resources that exist without this project's tag.
    """
    return [step for resource in wanted for step in _bootstrap_steps(resource, adopt)]


def plan_teardown(made: Iterable[Resource], *, force: bool = False) -> list[Step]:
    """Return the steps that remove what `plan_bootstrap` created; change nothing.

    Parameters
    ----------
    made
        The resources, as `resources` returns them; the last is removed first.
    force
        Whether to also remove contents that others have put there.
    """
    return [_teardown_step(resource, force) for resource in reversed(list(made))]


def check(steps: Iterable[Step]) -> None:
    """Check that all steps can be applied.

    Raises
    ------
    ConfigurationError
        When one of them is a refusal.
    """
    refused = [str(step) for step in steps if step.action == REFUSE]
    if refused:
        raise ConfigurationError(
            "Nothing was removed:\n" + "\n".join(refused),
            hint="Remove functions with 'covalent-lambda gc' and other contents by hand, or use "
            "--force, which removes everything.",
        )


def apply(steps: Sequence[Step], report: Callable[[Step], None]) -> None:
    """Apply all steps in order, if all can be applied; report those that change something."""
    check(steps)
    for step in steps:
        step.apply()
        if step.changes or step.action == LEAVE:
            report(step)


def _bootstrap_steps(resource: Resource, adopt: bool) -> Iterable[Step]:
    kind, name = resource.kind, resource.name
    if not resource.exists():
        yield Step(CREATE, kind, name, "", resource.create)
        for setting in resource.settings():
            # Some settings are in place as soon as the resource exists.
            yield Step(SET, kind, name, setting.name, setting.ensure)
        return
    ours = resource.is_ours()
    if not ours and adopt:
        yield Step(ADOPT, kind, name, "add this project's tag", resource.adopt)
    for setting in resource.settings():
        if setting.holds():
            yield Step(KEEP, kind, name, setting.name)
        elif ours or adopt:
            yield Step(SET, kind, name, setting.name, setting.apply)
        else:
            detail = f"not so: {setting.name}; bootstrap did not create it (--adopt changes it)"
            yield Step(LEAVE, kind, name, detail)


def _teardown_step(resource: Resource, force: bool) -> Step:
    kind, name = resource.kind, resource.name
    if not resource.exists():
        return Step(ABSENT, kind, name)
    if not resource.is_ours():
        return Step(LEAVE, kind, name, "it was not created by bootstrap")
    obstacles = "; ".join(resource.obstacles())
    if obstacles and not force:
        return Step(REFUSE, kind, name, obstacles)
    return Step(DELETE, kind, name, obstacles, resource.delete)
