#!/bin/sh
# Starts the runtime interface client; under the emulator where no Lambda service is behind it.
export PYTHONPATH="/var/runtime${PYTHONPATH:+:$PYTHONPATH}"
if [ -z "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec /usr/local/bin/aws-lambda-rie /usr/bin/env python3 -m awslambdaric "$@"
fi
exec python3 -m awslambdaric "$@"
