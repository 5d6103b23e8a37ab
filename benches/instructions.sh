#!/usr/bin/env bash
# Counts the instructions that the protocol's hot operations take for a message, with valgrind's callgrind, and shows them
# beside the reference in benches/README.md. Arguments: operations to count; none: all.
# With --check first it fails if one takes over a tenth more than its reference; it is skipped, and says so, where the figures
# cannot be the same.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=show
if [[ ${1:-} == --check ]]; then
  mode=check
  shift
fi

# Says why nothing was counted: when checking that is no failure.
cannot() {
  echo "instructions: $1" >&2
  [[ $mode == check ]] && exit 0
  exit 1
}

command -v valgrind >/dev/null || cannot "valgrind is not installed; on Debian: apt-get install valgrind"
if [[ $mode == check ]]; then
  here="rustc $(rustc --version | cut -d' ' -f2), $(uname -m | tr _ -), glibc $(ldd --version | awk 'NR == 1 { print $NF }')"
  grep -qF "$here" benches/README.md || cannot "not checked, for the reference is of another compiler, processor or C library than $here"
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
over=()
printf '%-28s %14s %14s\n' "instructions for a message" "now" "reference"
for operation in "$@"; do
  if ! bench --config "target.'cfg(all())'.runner = $runner" -- "$operation" >"$scratch/runs" 2>"$scratch/log"; then
    cat "$scratch/log" >&2
    exit 1
  fi
  messages=$(awk '{ print $2 }' "$scratch/runs")
  instructions=$(awk '/Collected :/ { print $NF }' "$scratch/log")
  now=$((instructions / messages)) reference=$(reference "$operation")
  printf '%-28s %14d %14s\n' "$operation" "$now" "$reference"
  if ((now * 10 > ${reference:-0} * 11)); then
    over+=("$operation")
  fi
done
if [[ $mode == check ]] && ((${#over[@]} > 0)); then
  echo "instructions: over a tenth more than the reference in benches/README.md: ${over[*]}" >&2
  echo "instructions: make them cheaper; or, if they are worth it, count anew and write down the new reference" >&2
  exit 1
fi
