#!/usr/bin/env bash
# Pairs exchange messages for minutes while the store grows: what a message costs each minute, then kill -9 and how long the
# store takes to open again. Arguments: minutes (10), pairs (50), window (1). In DIR (a new directory on a disk) it leaves the
# bench's report and the server's log; the store is removed. The server runs on CPU 0, the bench on CPU 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
minutes=${1:-10} pairs=${2:-50} window=${3:-1}
dir=${DIR:-$(mktemp -d)} bin=${BIN:-target/release}
native=${NATIVE:-7610} http=${HTTP:-7611}

mkdir -p "$dir"
printf long-run-long-run-long-run-long-run >"$dir/secret"
cat >"$dir/bench.toml" <<TOML
listen = "127.0.0.1:$native"
http = "127.0.0.1:$http"
data = "$dir/data"
[limits]
max_unauthenticated_per_ip = 1000
messages_per_second = 1000000
messages_burst = 1000000
[auth]
keys = [{ kid = "bench", alg = "HS256", secret_file = "$dir/secret" }]
TOML

start() {
  taskset -c 0 "$bin/hongyan" --config "$dir/bench.toml" >>"$dir/server.log" 2>&1 &
  server=$!
  until curl -sf "http://127.0.0.1:$http/healthz" >/dev/null; do sleep 0.05; done
}
stop() { kill -9 "$server" && wait "$server" || true; }
trap 'stop 2>/dev/null; rm -rf "$dir/data"' EXIT

# Messages so far; CPU in ticks of 10 ms; memory and store in KiB; then commits by how long they took, cumulative.
sample() {
  metrics=$(curl -sf "http://127.0.0.1:$http/metrics")
  read -r messages < <(awk '/^hongyan_messages_received_total/ { print $2 }' <<<"$metrics")
  ticks=$(awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$server/stat")
  memory=$(awk '/^Anonymous:/ { print $2 }' "/proc/$server/smaps_rollup")
  store=$(du -sk "$dir/data" | cut -f1)
  commits=$(awk -F'[" ]' '/^hongyan_commit_duration_seconds_bucket/ { printf "%s=%s ", $2, $NF }' <<<"$metrics")
}

# The first bound below which 99 of 100 commits of the minute lie.
p99() {
  awk -v before="$1" -v now="$2" 'BEGIN {
    n = split(before, b, " "); split(now, a, " ")
    split(a[n], last, "="); split(b[n], first, "="); all = last[2] - first[2]
    for (i = 1; i <= n; i++) { split(a[i], x, "="); split(b[i], y, "="); if (x[2] - y[2] >= all * 0.99) { print x[1] * 1000; exit } } }'
}

start
taskset -c 1 "$bin/hongyan-bench" pairs --pairs "$pairs" --window "$window" --seconds $((minutes * 60)) --warmup 5 \
  --server "127.0.0.1:$native" --secret-file "$dir/secret" --json >"$dir/report.json" &
bench=$!
sleep 6
printf '%6s %12s %10s %12s %14s %12s %14s\n' minute messages a_second us_a_message commits_p99_ms memory_MiB bytes_a_message
sample
for minute in $(seq "$minutes"); do
  old_messages=$messages old_ticks=$ticks old_commits=$commits began=$EPOCHREALTIME
  sleep 58
  sample
  awk -v minute="$minute" -v messages="$messages" -v new="$((messages - old_messages))" -v ticks="$((ticks - old_ticks))" \
    -v seconds="$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')" -v p99="$(p99 "$old_commits" "$commits")" \
    -v memory="$memory" -v store="$store" 'BEGIN {
      printf "%6d %12d %10d %12.2f %14s %12.1f %14.0f\n", minute, messages, new / seconds, ticks * 10000 / new, "<= " p99, memory / 1024, store * 1024 / messages }'
done
wait "$bench" || echo "the bench has found something: see $dir/report.json"
stop
start
grep -h "the store is open" "$dir/server.log" | tail -1
