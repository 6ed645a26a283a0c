#!/bin/sh
# Adds Lambda's runtime interface client and emulator to a root image that has neither.
# usage: install-interface.sh PYTHON_VERSION TARGET
set -eu
here=$(dirname "$0")
wanted=$1
target=$2

seen=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$seen" != "$wanted" ]; then
    echo "The root image has Python $seen; the task was pickled by Python $wanted." >&2
    exit 64
fi

mkdir -p "$target"
if [ -x /lambda-entrypoint.sh ]; then
    exit 0
fi

export PIP_CONFIG_FILE="$here/pip.conf"
python3 -m pip install --quiet --no-cache-dir --target "$target/var/runtime" awslambdaric==4.2.2
# The emulator is a static binary; this distribution carries it for both architectures.
python3 -m pip download --quiet --no-cache-dir --no-deps --dest /tmp/emulator aws-sam-cli==1.170.0
mkdir -p "$target/usr/local/bin"
python3 - "$target/usr/local/bin/aws-lambda-rie" <<'PYTHON'
import glob, platform, sys, zipfile
machine = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
wheel = zipfile.ZipFile(glob.glob("/tmp/emulator/*.whl")[0])
with open(sys.argv[1], "wb") as emulator:
    emulator.write(wheel.read(f"samcli/local/rapid/aws-lambda-rie-{machine}"))
PYTHON
chmod 755 "$target/usr/local/bin/aws-lambda-rie"
install -m 755 "$here/lambda-entrypoint.sh" "$target/lambda-entrypoint.sh"
