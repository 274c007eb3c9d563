#!/bin/bash
echo "By pulling and using the container, you accept the terms of a licence."
exec "$@"
