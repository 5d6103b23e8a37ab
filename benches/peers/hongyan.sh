NAME=${HY_NAME:-hongyan} PORT=28150; . "$(dirname "$0")/lib.sh"
# HY_BIN: the server (a release build). HY_SYNC: always (default), or another value of store.sync.
# HY_EXTRA: more lines of TOML for the end of the configuration, such as another section.
# Limits are raised where they protect against strangers and senders that are too fast: here one address is all users.
launch() {
printf peerbench-peerbench-peerbench-01 >"$D/secret"
cat >"$D/h.toml" <<C
listen = "127.0.0.1:$PORT"
http = "off"
data = "$D/data"
[limits]
max_connections = 100000
max_unauthenticated = 100000
max_unauthenticated_per_ip = 100000
messages_per_second = 1000000
messages_burst = 1000000
[auth]
accept_unknown_recipients = true
keys = [{ kid = "peerbench", alg = "HS256", secret_file = "$D/secret" }]
[store]
sync = "${HY_SYNC:-always}"
[drain]
deadline = "1s"
spread = "0ms"
[log]
level = "warn"
$HY_EXTRA
C
spawn "${HY_BIN:?set HY_BIN to a release build of hongyan}" --config "$D/h.toml"; }
verbs "$1"
