#!/bin/sh
# Starts the runtime interface client: directly on Lambda, under the emulator elsewhere.
# Python puts the working directory before the standard library: it must not be that of the packages.
cd /var/runtime
export PYTHONPATH="/var/runtime${PYTHONPATH:+:$PYTHONPATH}"
if [ -z "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec /usr/local/bin/aws-lambda-rie /usr/bin/env python3 -m awslambdaric "$@"
fi
exec python3 -m awslambdaric "$@"
