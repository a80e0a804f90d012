//! nginx as a caching reverse proxy.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
};

use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::process::Program;

/// A running nginx in front of an app, which keeps what responses allow it to keep.
#[derive(Debug)]
pub(crate) struct Nginx {
    address: SocketAddr,
    _program: Program,
    _directory: TempDir,
}

impl Nginx {
    /// Starts nginx in front of `app`. `ignored` are the response fields that it takes no notice of when it
    /// decides what to keep.
    pub(crate) async fn start(app: SocketAddr, ignored: &[&str]) -> Self {
        for _ in 0..PORTS_TO_TRY {
            let port = free_port().await;
            let directory = tempfile::Builder::new().prefix("tenure-nginx-").tempdir();
            let directory = directory.unwrap();
            let text = configuration(port, app, ignored);
            fs::write(directory.path().join("nginx.conf"), text).unwrap();
            let mut command = Command::new("nginx");
            command
                .args(["-c", "nginx.conf", "-e", "stderr", "-p"])
                .arg(directory.path());
            // It says so when its sockets are open.
            let started = Program::start(&command, |line| {
                line.contains("start worker process ").then_some(())
            });
            match started.await {
                Ok((program, ())) => {
                    return Self {
                        address: (Ipv4Addr::LOCALHOST, port).into(),
                        _program: program,
                        _directory: directory,
                    };
                }
                // Somebody else was faster.
                Err(output) if output.contains("Address already in use") => {}
                Err(output) => panic!("nginx does not start: {output}"),
            }
        }
        panic!("{PORTS_TO_TRY} free ports were taken before nginx could listen on them");
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Everything lies in the directory that nginx is started with, so that nothing of the system's own
/// nginx is read, written or needed.
fn configuration(port: u16, app: SocketAddr, ignored: &[&str]) -> String {
    // Its worker would otherwise be another user, who may not enter the directory.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let ignored = if ignored.is_empty() {
        String::new()
    } else {
        format!("proxy_ignore_headers {};", ignored.join(" "))
    };
    format!(
        "daemon off;
         worker_processes 1;
         pid nginx.pid;
         error_log stderr notice;
         {user}
         events {{ worker_connections 256; }}
         http {{
             access_log off;
             client_body_temp_path client;
             fastcgi_temp_path fastcgi;
             proxy_temp_path proxy;
             scgi_temp_path scgi;
             uwsgi_temp_path uwsgi;
             proxy_cache_path cache keys_zone=responses:1m;
             server {{
                 listen 127.0.0.1:{port};
                 location / {{
                     proxy_pass http://{app};
                     proxy_http_version 1.1;
                     proxy_set_header Connection '';
                     proxy_cache responses;
                     proxy_cache_valid 200 1m;
                     {ignored}
                     add_header X-Cache-Status $upstream_cache_status always;
                 }}
             }}
         }}"
    )
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

const PORTS_TO_TRY: usize = 5;
