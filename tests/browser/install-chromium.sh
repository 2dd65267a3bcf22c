#!/bin/sh
# The browser tests need a Chromium. Where none is found and packages can be installed, install Debian's.
set -eu
[ -n "${PALIMPSEST_CHROMIUM:-}" ] && exit 0
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "Installing chromium for the browser tests"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
else
    echo "No Chromium found: the browser tests will fail." >&2
    echo "Install one (for example: sudo apt-get install chromium) or name it in PALIMPSEST_CHROMIUM." >&2
fi
