#!/bin/sh
# Run in a build stage: puts stepkit's wheel, and its locked dependencies, into the directory $1.
set -eu
export PIP_CONFIG_FILE=/run/secrets/pip.conf PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_ROOT_USER_ACTION=ignore
uv=$(sed -n '/^name = "uv"$/{n;s/^version = "\(.*\)"$/\1/p;}' uv.lock)
python -m pip install --quiet --target /uv "uv==$uv"
mkdir -p "$1"
/uv/bin/uv --offline --no-cache export --quiet --frozen --no-dev --no-emit-project --extra tests \
    --python "$(command -v python)" --output-file "$1/lock.txt" >/dev/null
python -m pip wheel --quiet --no-deps --wheel-dir "$1" .
