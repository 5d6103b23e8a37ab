# What a developer runs. `just` alone lists it.

_list:
    @just --list --unsorted

# Everything that CI runs
check:
    .ci/run

# What takes longer than CI may: kills, power cuts, a crowd, many worlds
deep:
    .ci/deep

# Tests whose name contains a word, or all
test *filter:
    cargo test --workspace --locked {{ filter }}

# Time the hot operations: the protocol, then committer and session map
bench:
    cargo bench -p hongyan-proto --bench operations --locked
    cargo test --release -p hongyan --lib --locked micro_benchmarks -- --ignored --nocapture

# Count the instructions of the protocol's hot operations, beside the reference (needs valgrind)
instructions:
    benches/instructions.sh

# Fuzz a target on the stable toolchain (needs cargo-fuzz): `just fuzz decoder -runs=1000000`
fuzz target *options:
    RUSTC_BOOTSTRAP=1 cargo fuzz run -s none {{ target }} -- -dict=fuzz/hongyan.dict -max_len=512 {{ options }}

# Format the code
fmt:
    cargo fmt --all

# Clippy, warnings are errors
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Bans, licences and sources of dependencies, and known vulnerabilities (needs the network)
audit:
    cargo deny check
