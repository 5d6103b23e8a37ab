//! Compiles the wire messages in `proto/` (at the top of the repository) without a protoc on the machine.

use std::{io, path::Path};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let files = ["hongyan/v1/wire.proto", "hongyan/v1/content.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let descriptors = protox::compile(files, [root]).map_err(io::Error::other)?;
    #[cfg(feature = "json")]
    json(&descriptors)?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)
}

/// The proto3 JSON form of every message, and the descriptors that say how it looks.
#[cfg(feature = "json")]
fn json(descriptors: &impl prost::Message) -> io::Result<()> {
    let encoded = descriptors.encode_to_vec();
    pbjson_build::Builder::new().register_descriptors(&encoded)?.build(&[".hongyan.v1"])?;
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), encoded)
}
