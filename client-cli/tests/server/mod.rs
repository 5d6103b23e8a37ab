//! The real server, in the process of the test.

use std::{collections::BTreeMap, path::Path, thread};

use hongyan::{
    config::{Config, Flag, Inputs, Purpose, load},
    edge::admin,
    host::server::Server,
    session::operator::{Request, Response},
};

/// Where it listens, and what lets its users in.
pub struct Started {
    pub native: String,
    #[allow(dead_code, reason = "for the tests that speak HTTP")]
    pub http: String,
    pub tokens: BTreeMap<&'static str, String>,
}

/// A server in a thread of this process, on free ports, for as long as the process lives.
pub fn start(data: &Path) -> Started {
    let flag = |name, key, value: String| Flag { name, key, value };
    let any = "127.0.0.1:0".to_owned();
    let flags = vec![
        flag("--data", "data", data.display().to_string()),
        flag("--listen", "listen", any.clone()),
        flag("--http", "http", any),
    ];
    let config: Config = load(&Inputs { file: None, env: Vec::new(), flags }, Purpose::Serve).unwrap();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let data = data.to_owned();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::bind(config).await.unwrap();
            let native = server.native_addresses().unwrap()[0].to_string();
            let http = server.http_addresses().unwrap()[0].to_string();
            let tokens = async {
                let mut tokens = BTreeMap::new();
                for uid in ["alice", "bob", "carol"] {
                    let request = Request::MintToken { uid: uid.into(), ttl_s: 3600, device: None };
                    let Some(Response::Token(token)) = admin::ask(&data, &request).await.unwrap() else { panic!() };
                    tokens.insert(uid, token);
                }
                ready.send(Started { native, http, tokens }).unwrap();
                std::future::pending::<()>().await;
            };
            let (ended, ()) = tokio::join!(server.run(std::future::pending()), tokens);
            ended.unwrap();
        });
    });
    is_ready.recv().unwrap()
}
