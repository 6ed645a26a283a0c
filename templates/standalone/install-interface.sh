#!/bin/sh
# Installs Lambda's runtime interface into a folder, for a root image that has none:
# install-interface.sh FOLDER CLIENT EMULATOR ARCHITECTURE
set -e
mkdir -p "$1/var/task"
if [ -x /lambda-entrypoint.sh ]; then exit 0; fi
sh /build/pip.sh install --target "$1/var/runtime" "$2"
sh /build/pip.sh download --no-deps --dest /tmp/emulator "$3"
python3 -m zipfile -e /tmp/emulator/*.whl /tmp/emulator
mkdir -p "$1/usr/local/bin"
cp "/tmp/emulator/samcli/local/rapid/aws-lambda-rie-$4" "$1/usr/local/bin/aws-lambda-rie"
cp /build/lambda-entrypoint.sh "$1/"
chmod 755 "$1/usr/local/bin/aws-lambda-rie" "$1/lambda-entrypoint.sh"
