#!/bin/sh
# Run in a build stage: git and git-lfs from the distribution, where the base lacks them.
set -eu
if ! command -v git >/dev/null || ! command -v git-lfs >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends git git-lfs
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/log/apt \
        /var/log/dpkg.log
fi
git lfs install --system --skip-repo
