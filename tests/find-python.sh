#!/bin/sh
# Makes the virtual environment $1 with the first Python from 3.11 on.
set -eu
for python in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
            exec "$python" -m venv "$1"
        fi
        lacking=$python
    fi
done
if [ -n "${lacking:-}" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing python3-venv from Debian ..."
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
        exec "$lacking" -m venv "$1"
    fi
    echo "$lacking has no venv module. Install it: sudo apt-get install python3-venv" >&2
else
    echo "Python 3.11 or newer is needed. Install it: sudo apt-get install python3 python3-venv" >&2
fi
exit 1
