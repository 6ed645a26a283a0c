"""boto3's requests, repeated when credentials were refused that are being replaced."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from covalent_lambda_container.adapters.aws.aws_errors import REFUSED_CREDENTIALS
from covalent_lambda_container.adapters.aws.credentials import CurrentCredentials

_WITHOUT_CODE: Final = "403"
"""botocore's code of a refusal without a body, as HEAD has it; its reason is unknown."""

_GENERATION: Final = "credentials_generation"
_REFUSED_SINCE: Final = "credentials_refused_since"
_REPEATED: Final = "repeated_with_new_credentials"

_PATIENCE_S: Final = 30.0
_PAUSE_S: Final = 1.0
"""How long, and how often, to repeat a request whose credentials had been accepted before."""

_SUCCESS: Final = 300


def repeat_refused_requests(
    session: Any, credentials: CurrentCredentials, now: Callable[[], float] = time.monotonic
) -> None:
    """Have the clients that a botocore session will create repeat what AWS refused.

    AWS checks credentials before it does anything else: a refused request was not executed.
    Credentials that are being rotated, or are those of a local stack that is restarting, may be
    refused for some seconds before there are others.

    Parameters
    ----------
    session
        The session.
    credentials
        What it signs with.
    now
        Clock, for tests.
    """

    def note(request: Any, **_: Any) -> None:
        request.context[_GENERATION] = credentials.generation

    def repeat(response: Any, request_dict: Any, **_: Any) -> float | None:
        """Return the delay before the request is repeated; None if it is not."""
        if not response:
            return None
        if response[0].status_code < _SUCCESS:
            credentials.were_accepted = True
            return None
        context, code = request_dict["context"], response[1].get("Error", {}).get("Code")
        if code not in REFUSED_CREDENTIALS and code != _WITHOUT_CODE:
            return None
        if _REPEATED not in context and credentials.replace_refused(context.get(_GENERATION, 0)):
            context[_REPEATED] = True
            return 0
        if code == _WITHOUT_CODE or not credentials.were_accepted:
            return None
        ends = context.setdefault(_REFUSED_SINCE, now()) + _PATIENCE_S
        context.pop(_REPEATED, None)
        return _PAUSE_S if now() < ends else None

    session.register("before-sign", note)
    session.register("needs-retry", repeat)
