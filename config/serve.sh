#!/bin/sh
# Serves the example site on loopback, once: $1 the Python to use, $2 the port.
set -eu
python=$1 port=$2 url="http://127.0.0.1:$2/"

# Is the port used already, and by this site?
answer=$("$python" - "$url" <<'PROBE'
import sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=3) as page:
        print("ours" if b"realtime playground" in page.read() else "other")
except urllib.error.HTTPError:
    print("other")
except OSError as error:
    print("free" if isinstance(getattr(error, "reason", error), ConnectionRefusedError) else "other")
PROBE
)
case $answer in
ours)
    echo "The site is running already: $url"
    exit 0
    ;;
other)
    echo "Port $port is used by another program. Choose another one: make run PORT=8001" >&2
    exit 1
    ;;
esac

"$python" manage.py migrate --verbosity 0
logins=$("$python" manage.py demo)
cat <<TEXT

  The playground:  $url
  The admin:       ${url}admin/
  $logins

  Sign in as one of them, and as another one in a private window. Ctrl-C ends it.

TEXT
exec "$python" manage.py runserver --noreload "127.0.0.1:$port"
