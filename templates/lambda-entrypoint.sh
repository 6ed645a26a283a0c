#!/bin/sh
# Starts the runtime interface client: directly on Lambda, under the emulator elsewhere.
export PYTHONPATH="/var/runtime${PYTHONPATH:+:$PYTHONPATH}"
if [ -z "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec /usr/local/bin/aws-lambda-rie /usr/bin/env python3 -m awslambdaric "$@"
fi
exec python3 -m awslambdaric "$@"
