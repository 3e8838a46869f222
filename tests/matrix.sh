#!/bin/sh
# Runs the unit tests on each Python and Django, and tests of the layers on each Redis, and prints a
# table. Python 3.13 and 3.14, Redis 8.0 and Valkey come from Debian 13 and sid, in folders made by
# debootstrap; what this machine has itself is used, too. Needs root, and an hour on two cores.
#     tests/matrix.sh [FOLDER]      FOLDER keeps the systems and the logs; else they are temporary
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -gt 0 ]; then
    mkdir -p "$1" && folder=$(cd "$1" && pwd)
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
[ "$(id -u)" = 0 ] || { echo "debootstrap needs root: sudo make matrix" >&2; exit 1; }
command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq debootstrap >/dev/null; }
mkdir -p "$folder/logs"
failed=0

make_system() {  # RELEASE PACKAGES
    root=$folder/$1
    if [ ! -e "$root/made" ]; then
        rm -rf "$root"
        packages=ca-certificates,nodejs,python3,python3-venv,redis-server,$2
        debootstrap --variant=minbase --include="$packages" "$1" "$root" >"$folder/logs/$1.log"
        mkdir -p "$root/valkey"
        ln -s /usr/bin/valkey-server "$root/valkey/redis-server"
        touch "$root/made"
    fi
    # pip in there reaches what pip reaches here.
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
    rm -rf "$root/src" && mkdir "$root/src"
    (cd "$here" && git archive HEAD) | tar -x -C "$root/src"
}

in_system() {  # RELEASE COMMAND...; what is mounted here goes with the process
    root=$folder/$1
    shift
    unshare --mount sh -c '
        root=$1
        shift
        mount --bind /proc "$root/proc"
        mount --rbind /dev "$root/dev"
        exec chroot "$root" sh -c "cd /src && exec \"\$@\"" sh "$@"' sh "$root" "$@"
}

run() {  # SYSTEM REDIS DJANGO LOG COMMAND...; one row of the table
    system=$1 redis=$2 django=$3 log=$folder/logs/$4.log
    shift 4
    "$@" >"$log" 2>&1 || failed=1
    python=$(sed -n 's/^Python //p' "$log" | head -1)
    django=$(sed -n 's/^Django==//p' "$log" | head -1)
    result=$(sed -nE 's/^=* *([0-9]+ (passed|failed).*) in .*/\1/p' "$log" | tail -1)
    echo "| ${python:-?} | $system | ${django:-?} | $redis | ${result:-did not run, see $log} |"
}

redis_of() {  # COMMAND...: "Redis 7.0.15"
    "$@" --version | sed -E 's/^(Redis|Valkey) server v=([0-9.]+).*/\1 \2/'
}

name_of() {  # RELEASE
    if [ "$1" = sid ]; then echo "Debian sid"; else echo "Debian 13"; fi
}

own=$(. /etc/os-release && echo "$NAME $VERSION_ID")
make_system trixie valkey-server
make_system sid valkey-server
cd "$here"
date +'%Y-%m-%d, all dependencies at their newest'
echo
echo '| Python | system | Django | Redis | unit tests |'
echo '|---|---|---|---|---|'
for release in sid trixie; do
    redis=$(redis_of in_system $release redis-server)
    for django in 6.1 6.0 5.2; do
        run "$(name_of $release)" "$redis" $django "$release-$django" \
            in_system $release tests/versions.sh python3 $django
    done
done
redis=$(redis_of redis-server)
for python in python3.12 python3.11; do
    "$python" -c '' 2>/dev/null || continue
    for django in 6.1 6.0 5.2; do
        # Django 6.0 and 6.1 need Python 3.12.
        [ "$python" = python3.12 ] || [ $django = 5.2 ] || continue
        run "$own" "$redis" $django "$python-$django" tests/versions.sh "$python" $django
    done
done
echo
echo '| Python | system | Django | Redis | tests of the layers, of two processes, and of faults |'
echo '|---|---|---|---|---|'
of_redis="tests/realtime/layers tests/integration/test_two_processes.py tests/integration/test_faults.py"
# shellcheck disable=SC2086
{
    run "$own" "$(redis_of redis-server)" 5.2 redis-here tests/versions.sh python3 5.2 $of_redis
    for release in sid trixie; do
        name=$(name_of $release)
        run "$name" "$(redis_of in_system $release redis-server)" 5.2 "redis-$release" \
            in_system $release tests/versions.sh python3 5.2 $of_redis
        run "$name" "$(redis_of in_system $release valkey-server)" 5.2 "valkey-$release" \
            in_system $release env PATH="/valkey:$PATH" tests/versions.sh python3 5.2 $of_redis
    done
}
exit $failed
