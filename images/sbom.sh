#!/bin/sh
# Write the bill of materials (CycloneDX 1.5) of the locked dependencies to the file $1.
set -eu
exec uv --offline --no-cache export --quiet --frozen --no-dev --extra tests --extra s3 --extra notify \
    --preview-features sbom-export --format cyclonedx1.5 --output-file "$1" >/dev/null
