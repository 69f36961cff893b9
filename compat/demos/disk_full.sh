#!/usr/bin/env bash
# A broker on a file system of 400 MiB that runs full under it; see disk_full.py. Needs root, for the mount.
#
#     compat/demos/disk_full.sh [python with pika]
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-target/compat/venv/bin/python}
place=$(mktemp -d)
mount -t tmpfs -o size=400m leveret-demo "$place"
broker=
trap 'if [ -n "$broker" ]; then kill "$broker"; wait "$broker" || true; fi; umount "$place"; rmdir "$place"' EXIT
cargo build --release --quiet
"${CARGO_TARGET_DIR:-target}/release/leveret" --data-dir "$place/data" --listen 127.0.0.1:5679 &
broker=$!
for _ in $(seq 100); do
    if (exec 3<>/dev/tcp/127.0.0.1/5679) 2>/dev/null; then break; fi
    sleep 0.1
done
"$python" compat/demos/disk_full.py amqp://guest:guest@127.0.0.1:5679/%2F "$place"
kill -0 "$broker" && echo "the broker is the one that was started"
