#!/bin/sh
# Installs a task's packages into a folder of their own, byte-compiled.
# usage: install-packages.sh TARGET [COVALENT_VERSION]
set -eu
here=$(dirname "$0")
target=$1
covalent_version=${2:-}

export PIP_CONFIG_FILE="$here/pip.conf"
pip_install() {
    python3 -m pip install --no-cache-dir --no-input --progress-bar off --no-compile \
        --target "$target" "$@"
}
mkdir -p "$target"

if [ -n "$covalent_version" ]; then
    # Covalent's SDK without its server. Its metadata caps cloudpickle where the server's does not:
    # the SDK is installed without its requirements, which join the task's, cloudpickle left out.
    COVALENT_SDK_ONLY=1 python3 -m pip wheel --quiet --no-cache-dir --no-deps \
        --no-binary covalent --wheel-dir /tmp/covalent "covalent==$covalent_version"
    python3 - >>"$here/requirements.txt" <<'PYTHON'
import email, glob, re, zipfile
wheel = zipfile.ZipFile(glob.glob("/tmp/covalent/*.whl")[0])
(metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
for requirement in email.message_from_bytes(wheel.read(metadata)).get_all("Requires-Dist"):
    if "extra ==" not in requirement and re.match("[A-Za-z0-9]+", requirement)[0] != "cloudpickle":
        print(requirement)
PYTHON
fi
pip_install --requirement "$here/requirements.txt"
if [ -n "$covalent_version" ]; then
    pip_install --no-deps /tmp/covalent/*.whl
fi

# Lambda's file system is read-only: what is not compiled here is compiled at every cold start.
# Some distributions ship files of other Pythons, which do not compile and are never imported.
python3 -m compileall -q -s "$target" -p /var/task --invalidation-mode unchecked-hash "$target" \
    >/dev/null 2>&1 || true
python3 "$here/list-modules.py" "$target" >"$target/covalent_lambda_modules.json"
