#!/bin/sh
# Runs pip as a build does: pip.sh ARGUMENTS…
certificates=/build/ca-bundle.crt
if [ -f "$certificates" ]; then export PIP_CERT="$certificates" SSL_CERT_FILE="$certificates"; fi
exec python3 -m pip --disable-pip-version-check "$@" --no-cache-dir --no-input --prefer-binary
