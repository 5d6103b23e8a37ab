//! Compiles the wire messages in `proto/` (at the top of the repository) without a protoc on the machine.

use std::{env, fs, io, path::Path};

use prost::Message as _;

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let files = ["hongyan/v1/wire.proto", "hongyan/v1/act.proto", "hongyan/v1/content.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let descriptors = protox::compile(files, [root]).map_err(io::Error::other)?;
    // For tools that show or check any message by the names of its fields.
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    let encoded = descriptors.encode_to_vec();
    fs::write(Path::new(&out).join("descriptors.bin"), &encoded)?;
    // The proto3 JSON form of every message.
    #[cfg(feature = "json")]
    pbjson_build::Builder::new().register_descriptors(&encoded)?.build(&[".hongyan.v1"])?;
    let rare = [
        "hongyan.v1.Send.extras",
        "hongyan.v1.Send.act",
        "hongyan.v1.Message.extras",
        "hongyan.v1.Message.act",
        "hongyan.v1.Entry.item.conversation",
    ];
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    // Most frames have none of them, so they carry a pointer only.
    for field in rare {
        config.boxed(field);
    }
    config.compile_fds(descriptors)
}
