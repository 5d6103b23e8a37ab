//! Compiles the wire messages in `proto/` (at the top of the repository) without a protoc on the machine.

use std::{io, path::Path};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let files = ["hongyan/v1/wire.proto", "hongyan/v1/act.proto", "hongyan/v1/content.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let descriptors = protox::compile(files, [root]).map_err(io::Error::other)?;
    let rare = ["hongyan.v1.Send.extras", "hongyan.v1.Send.act", "hongyan.v1.Message.extras", "hongyan.v1.Message.act"];
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    // Most messages have neither, so they carry a pointer only.
    for field in rare {
        config.boxed(field);
    }
    config.compile_fds(descriptors)
}
