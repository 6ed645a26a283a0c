#!/bin/sh
# Starts the runtime interface client: directly on Lambda, under the emulator elsewhere.
export PYTHONPATH="/var/runtime${PYTHONPATH:+:$PYTHONPATH}"
# 'python3 -m' would look for modules in the working directory first, before the standard library;
# the client takes the working directory as the folder of the handler.
client='import sys; sys.path[0] = "/var/runtime"; import runpy; runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)'
if [ -z "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec /usr/local/bin/aws-lambda-rie /usr/bin/env python3 -c "$client" "$@"
fi
exec python3 -c "$client" "$@"
