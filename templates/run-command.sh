#!/bin/sh
# Runs a command of DepsBash while the image is built: run-command.sh FILE
here=/opt/covalent-lambda
authorities="$here/ca-bundle.crt"
if [ -f "$authorities" ]; then
    export SSL_CERT_FILE="$authorities" PIP_CERT="$authorities" REQUESTS_CA_BUNDLE="$authorities" \
        CURL_CA_BUNDLE="$authorities" GIT_SSL_CAINFO="$authorities" \
        NODE_EXTRA_CA_CERTS="$authorities"
fi
# Commands that run after the packages are installed find them, behind the standard library.
if [ -d "$here/search-path" ]; then
    export PYTHONPATH="$here/search-path${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1
    export PATH="${LAMBDA_TASK_ROOT:-/var/task}/bin:$PATH"
    # The working directory, which has the packages, would come before the standard library.
    cd /tmp
fi
exec sh "$here/commands/$1"
