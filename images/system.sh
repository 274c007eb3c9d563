#!/bin/sh
# Run in a build stage: git, git-lfs and ssh from the distribution, where the base lacks
# them.
set -eu
missing() { ! { command -v git && command -v git-lfs; } >/dev/null; }
if ! missing && ! command -v ssh >/dev/null && ! command -v apt-get >/dev/null; then
    echo "system.sh: the base has no ssh and no apt-get: git-clone takes no ssh address" >&2
elif missing || ! command -v ssh >/dev/null; then
    # A client needs no manuals, no servers and no headers of Perl: 30 MB.
    set -f
    for path in /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /usr/lib/*/perl/*/CORE/* \
        /usr/lib/git-core/git-daemon /usr/lib/git-core/git-http-backend /usr/bin/git-shell \
        /usr/lib/git-core/git-imap-send /usr/lib/git-core/git-http-push /usr/bin/scalar \
        /usr/lib/git-core/scalar; do
        set -- "$@" --option "Dpkg::Options::=--path-exclude=$path"
    done
    set +f
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "$@" git git-lfs openssh-client
    apt-get clean
    rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/log/apt \
        /var/log/dpkg.log
fi
git lfs install --system --skip-repo
