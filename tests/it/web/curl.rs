//! What README.md shows for curl is what curl does.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::server::{PROGRAM, TestServer};

#[test]
fn the_lines_of_the_readme_work() {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("## From a browser, or with curl").expect("README.md has a section for curl");
    let lines = section.split("```").nth(1).and_then(|block| block.strip_prefix("sh\n")).unwrap();
    let server = TestServer::start();
    // `hongyan` and the address, as the reader of the page has them.
    let bin = tempfile::tempdir().unwrap();
    let wrapper = bin.path().join("hongyan");
    let data = server.data().display();
    fs::write(&wrapper, format!("#!/bin/sh\nexec '{PROGRAM}' \"$@\" --data '{data}'\n")).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let script = lines.replace("127.0.0.1:7680", &server.http().to_string());
    let run = Command::new("sh").arg("-c").arg(&script).env("PATH", path).output().unwrap();
    let (said, complaints) = (String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap());
    assert_eq!(complaints, "", "is curl 7.82 or later installed?");
    for part in [
        r#""sendNo":"1""#,
        r#""text":"dinner at eight?""#,
        "id: ",
        r#"data: {"push":{"#,
        r#""receipt":{"conversation":"bob","deliveredCseq":"1""#,
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
}

#[test]
fn with_a_certificate_the_port_speaks_https_and_http_2() {
    let files = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    fs::write(&cert, issued.cert.pem()).unwrap();
    fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let server = TestServer::with(&format!("[tls]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display()));
    let port = server.http().port();
    let resolve = format!("localhost:{port}:127.0.0.1");
    let get = |version: &str, scheme: &str| {
        let url = format!("{scheme}://localhost:{port}/");
        let said = ["-s", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", version, "--resolve", &resolve];
        let run = Command::new("curl").args(said).arg("--cacert").arg(&cert).arg(url).output().unwrap();
        String::from_utf8(run.stdout).unwrap()
    };
    assert_eq!(get("--http2", "https"), "2 200");
    assert_eq!(get("--http1.1", "https"), "1.1 200");
    assert_eq!(get("--http1.1", "http"), "1.1 200", "on loopback without TLS too");
    server.assert_healthy();
}
