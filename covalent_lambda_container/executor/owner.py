"""Whose functions are, when they are not shared."""

from __future__ import annotations

from covalent_lambda_container.errors import ConfigurationError


def function_owner(arn: str) -> str:
    """Return the ARN that functions of the dispatcher with an identity are for.

    Parameters
    ----------
    arn
        The identity's ARN, as AWS STS reports it. A role's session is
        ``arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`` ("IAM identifiers", IAM user guide, read
        2026-11), and each session is as much the role as the next one.

    Raises
    ------
    ConfigurationError
        AWS did not say which identity it is.
    """
    if not arn:
        raise ConfigurationError(
            "AWSLambdaContainerExecutor option isolate='function': AWS does not say which identity "
            "the dispatcher has, so that its functions cannot be distinguished.",
            hint="Let the dispatcher reach AWS STS (GetCallerIdentity needs no permission), or "
            "give it an execution role of its own by the option lambda_role_name.",
        )
    head, assumed, session = arn.partition(":assumed-role/")
    return head + assumed + session.partition("/")[0]
