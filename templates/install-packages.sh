#!/bin/sh
# Installs a task's packages into a folder of their own, byte-compiled.
# usage: install-packages.sh REQUIREMENTS TARGET
set -eu
here=$(dirname "$0")
requirements=$1
target=$2

export PIP_CONFIG_FILE="$here/pip.conf"
mkdir -p "$target"
python3 -m pip install --no-cache-dir --no-input --progress-bar off --no-compile \
    --target "$target" --requirement "$requirements"
# Lambda's file system is read-only: what is not compiled here is compiled at every cold start.
# Some distributions ship files of other Pythons, which do not compile and are never imported.
python3 -m compileall -q -s "$target" -p /var/task --invalidation-mode unchecked-hash "$target" \
    >/dev/null 2>&1 || true
