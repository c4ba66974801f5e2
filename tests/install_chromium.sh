#!/bin/sh
# A real browser for the page tests: installed where it may be, otherwise those tests are skipped with a word (never under CI).
set -u
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser tests"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
else
    echo "No Chromium here and no right to install one: browser tests will be skipped"
fi
[ "${CI:-}" != "true" ] || command -v chromium >/dev/null 2>&1
