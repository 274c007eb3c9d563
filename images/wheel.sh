#!/bin/sh
# Run in a build stage: puts stepkit's wheel, its dependencies as requirements with hashes, and
# their bill of materials into the directory $1.
set -eu
export PIP_CONFIG_FILE=/run/secrets/pip.conf PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_ROOT_USER_ACTION=ignore PATH="/uv/bin:$PATH"
version=$(sed -n '/^name = "uv"$/{n;s/^version = "\(.*\)"$/\1/p;}' uv.lock)
python -m pip install --quiet --target /uv "uv==$version"
mkdir -p "$1"
uv --offline --no-cache export --quiet --frozen --no-dev --no-emit-project \
    --extra tests --extra s3 --extra notify --output-file "$1/lock.txt" >/dev/null
sh images/sbom.sh "$1/stepkit.cdx.json"
python -m pip wheel --quiet --no-deps --wheel-dir "$1" .
