#!/bin/sh
# Installs what the tests talk to and Debian has, where it is missing: Redis, Chromium, Node.js, nginx,
# HAProxy, Caddy, Apache, PostgreSQL, MariaDB, a clock that can be set for one process, strace.
set -eu
missing=""
command -v redis-server >/dev/null || missing="$missing redis-server"
[ -x /usr/bin/chromium ] || missing="$missing chromium"
command -v node >/dev/null || missing="$missing nodejs"
command -v npm >/dev/null || missing="$missing npm"
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$missing libfaketime"
[ -x /usr/sbin/nginx ] || missing="$missing nginx"
[ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
command -v caddy >/dev/null || missing="$missing caddy"
[ -x /usr/sbin/apache2 ] || missing="$missing apache2"
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
[ -x /usr/sbin/mariadbd ] || missing="$missing mariadb-server"
command -v strace >/dev/null || missing="$missing strace"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo"
else
    echo "The tests need$missing, and this user may not install them. Run:" >&2
    echo "    sudo apt-get install$missing" >&2
    exit 1
fi
command -v apt-get >/dev/null || {
    echo "The tests need$missing, and there is no apt-get here to install them with." >&2
    exit 1
}
echo "Installing from Debian:$missing"
# A Redis or a database that starts by itself would be one that nobody asked for: this is how Debian is
# told so.
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$as_root rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
fi
$as_root apt-get update -qq
$as_root apt-get install -y -qq $missing >/dev/null
