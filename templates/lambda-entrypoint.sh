#!/bin/sh
# Starts the runtime interface client: directly on Lambda, under the emulator elsewhere.
export PYTHONPATH="/var/runtime${PYTHONPATH:+:$PYTHONPATH}"
# 'python3 -m' would put the working directory, which has the packages, before the standard library.
client='
import os, sys
sys.path[0] = "/var/runtime"
sys.path.append(os.environ.get("LAMBDA_TASK_ROOT", "/var/task"))
import runpy
runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
'
if [ -z "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec /usr/local/bin/aws-lambda-rie /usr/bin/env python3 -c "$client" "$@"
fi
exec python3 -c "$client" "$@"
