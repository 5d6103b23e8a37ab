//! Compiles the records of the store and what crosses the seam to the writer, which only the server needs. The wire messages
//! are compiled by `crates/proto`.
//! The chat page is built into the program, so that it is built anew when a file of the page changes, comes or goes.

use std::{io, path::Path};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=web");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let files = ["hongyan/store/v1/records.proto", "hongyan/node/v1/ops.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let descriptors = protox::compile(files, [root]).map_err(io::Error::other)?;
    prost_build::Config::new().bytes(["."]).extern_path(".hongyan.v1", "::hongyan_proto::wire").compile_fds(descriptors)
}
