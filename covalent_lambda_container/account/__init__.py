"""One-time set-up of an AWS account: bucket, repository and role."""
