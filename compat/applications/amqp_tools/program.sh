#!/bin/sh
# Messages from a shell, with Debian's amqp-tools. The broker is AMQP_URL; the programs take it as --url.
set -eu

# For these programs a slash at the end of the URL means the virtual host "", as the standard for URLs has it.
url="${AMQP_URL:-amqp://guest:guest@127.0.0.1:5672}"
broker="--url=${url%/}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

is() {
    [ "$1" = "$2" ] || { echo "expected '$2', got '$1'" >&2; exit 1; }
    echo "$1"
}

echo "# a durable queue, a message in it, and out again"
is "$(amqp-declare-queue "$broker" --durable --queue=letters)" letters
amqp-publish "$broker" --routing-key=letters --persistent --content-type=text/plain --body="Dear broker"
is "$(amqp-get "$broker" --queue=letters)" "Dear broker"

echo "# an empty queue is said by the exit status"
if amqp-get "$broker" --queue=letters; then exit 1; else is "$?" 2; fi

echo "# a message for each line, and a program for each message"
seq 1 100 | amqp-publish "$broker" --routing-key=letters --line-buffered
amqp-consume "$broker" --queue=letters --count=100 --prefetch-count=10 cat >"$folder/lines"
is "$(awk '{ sum += $1 } END { print NR, sum }' "$folder/lines")" "100 5050"

echo "# a program that fails gives its message back"
amqp-publish "$broker" --routing-key=letters --body="handle with care"
printf '#!/bin/sh\ncat >"%s"\nexit 1\n' "$folder/seen" >"$folder/fails"
chmod +x "$folder/fails"
amqp-consume "$broker" --queue=letters --count=1 "$folder/fails" || true
is "$(cat "$folder/seen")" "handle with care"
is "$(amqp-get "$broker" --queue=letters)" "handle with care"

echo "# a file of 3 MiB, byte for byte"
head -c 3145728 /dev/urandom >"$folder/file"
amqp-publish "$broker" --routing-key=letters <"$folder/file"
amqp-get "$broker" --queue=letters >"$folder/copy"
cmp "$folder/file" "$folder/copy"
echo equal

echo "# what comes to an exchange while somebody listens"
amqp-consume "$broker" --exchange=amq.topic --routing-key='weather.#' --count=1 cat >"$folder/news" 2>"$folder/log" &
listener=$!

for _ in $(seq 500); do
    kill -0 "$listener" 2>/dev/null || break
    amqp-publish "$broker" --exchange=amq.topic --routing-key=weather.north.sea --body="Gale warning"
done
wait "$listener"
is "$(cat "$folder/news")" "Gale warning"

echo "# the end: a queue that must be empty, then not"
amqp-publish "$broker" --routing-key=letters --body="one more"
if amqp-delete-queue "$broker" --queue=letters --if-empty 2>"$folder/log"; then exit 1; fi
is "$(sed 's/.*message: //' "$folder/log")" "PRECONDITION_FAILED - queue 'letters' in vhost '/' not empty"
is "$(amqp-delete-queue "$broker" --queue=letters)" 1
if amqp-publish "$broker" --exchange=nowhere --body=lost 2>"$folder/log"; then exit 1; fi
is "$(sed 's/.*message: //' "$folder/log")" "NOT_FOUND - no exchange 'nowhere' in vhost '/'"
