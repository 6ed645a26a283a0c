"""Owners of functions that are not shared."""

from __future__ import annotations

from covalent_lambda_container.errors import ConfigurationError


def function_owner(arn: str) -> str:
    """Return the ARN under which a dispatcher with this identity owns functions.

    Parameters
    ----------
    arn
        The identity's ARN, as AWS STS reports it. A role's session is
        ``arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`` ("IAM identifiers", IAM user guide, read
        2026-11), and all sessions of a role are one owner.

    Raises
    ------
    ConfigurationError
        AWS did not report the identity.
    """
    if not arn:
        raise ConfigurationError(
            "AWSLambdaContainerExecutor option isolate='function': AWS does not report the "
            "dispatcher's identity, so its functions cannot be distinguished.",
            hint="Let the dispatcher reach AWS STS (GetCallerIdentity needs no permission), or "
            "give it its own execution role with the option lambda_role_name.",
        )
    head, assumed, session = arn.partition(":assumed-role/")
    return head + assumed + session.partition("/")[0]
