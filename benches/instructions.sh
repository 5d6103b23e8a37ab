#!/usr/bin/env bash
# Counts the instructions that the protocol's hot operations take for a message, with valgrind's callgrind, and shows them
# beside the reference in benches/README.md. Arguments: operations to count; none: all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v valgrind >/dev/null; then
  echo "instructions: valgrind is not installed; on Debian: apt-get install valgrind" >&2
  exit 1
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

bench() {
  cargo bench --quiet --locked -p hongyan-proto --bench instructions "$@"
}

# The number in the last column of the operation's row.
reference() {
  awk -F'|' -v operation="\`$1\`" '{ gsub(/ /, "") } $2 == operation { gsub(/,/, "", $3); print $3 }' benches/README.md
}

if (($# == 0)); then
  mapfile -t operations < <(bench -- list)
  set -- "${operations[@]}"
fi
# Only the runs that are measured count, not what makes them ready.
runner="['valgrind', '--tool=callgrind', '--callgrind-out-file=$scratch/callgrind', '--toggle-collect=instructions::measured*']"
printf '%-28s %14s %14s\n' "instructions for a message" "now" "reference"
for operation in "$@"; do
  if ! bench --config "target.'cfg(all())'.runner = $runner" -- "$operation" >"$scratch/runs" 2>"$scratch/log"; then
    cat "$scratch/log" >&2
    exit 1
  fi
  messages=$(awk '{ print $2 }' "$scratch/runs")
  instructions=$(awk '/Collected :/ { print $NF }' "$scratch/log")
  printf '%-28s %14d %14s\n' "$operation" $((instructions / messages)) "$(reference "$operation")"
done
