"""Who may do what: every IAM document of a deployment, with no action that is not used."""

from __future__ import annotations

from covalent_lambda_container.policies.documents import (
    CREATOR_TAG,
    LAMBDA_MAY_PULL,
    OWN_TAG,
    TRUST_LAMBDA,
    Deployment,
    Document,
    actions,
    without,
)
from covalent_lambda_container.policies.keeping import bootstrap, operator
from covalent_lambda_container.policies.running import ci, dispatcher, execution_role

__all__ = [
    "CREATOR_TAG",
    "LAMBDA_MAY_PULL",
    "OWN_TAG",
    "TRUST_LAMBDA",
    "Deployment",
    "Document",
    "actions",
    "bootstrap",
    "ci",
    "dispatcher",
    "execution_role",
    "operator",
    "without",
]
