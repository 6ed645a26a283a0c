"""boto3's requests, repeated once when old credentials were refused and there are new ones."""

from __future__ import annotations

from typing import Any, Final

from covalent_lambda_container.adapters.aws.aws_errors import REFUSED_CREDENTIALS
from covalent_lambda_container.adapters.aws.credentials import CurrentCredentials

_WITHOUT_CODE: Final = "403"
"""botocore's code of a refusal without a body, as HEAD has it; its reason is unknown."""

_GENERATION: Final = "credentials_generation"
_REPEATED: Final = "repeated_with_new_credentials"


def repeat_refused_requests(session: Any, credentials: CurrentCredentials) -> None:
    """Have the clients that a botocore session will create repeat what AWS refused.

    AWS checks credentials before it does anything else: a refused request was not executed.

    Parameters
    ----------
    session
        The session.
    credentials
        What it signs with.
    """

    def note(request: Any, **_: Any) -> None:
        request.context[_GENERATION] = credentials.generation

    def repeat(response: Any, request_dict: Any, **_: Any) -> int | None:
        """Return the delay before the request is repeated; None if it is not."""
        context = request_dict["context"]
        code = response[1].get("Error", {}).get("Code") if response else None
        if code not in REFUSED_CREDENTIALS and code != _WITHOUT_CODE:
            return None
        if _REPEATED in context or not credentials.replace_refused(context.get(_GENERATION, 0)):
            return None
        context[_REPEATED] = True
        return 0

    session.register("before-sign", note)
    session.register("needs-retry", repeat)
