//! Clients that are to speak TLS, and do not.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::plain::Plain;
use super::quota;
use super::test_server::{Client, TestServer};
use super::tls::Tls;
use super::transport::Transport;
use crate::server::config::TlsConfig;
use crate::server::tls::Security;

/// With a certificate that nobody looks at.
fn security() -> Security {
    let folder = std::env::temp_dir().join(format!("chatbox-{}-handshakes", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".into()]).unwrap();
    let [certificate, key] = ["pem", "key"].map(|name| folder.join(name));
    fs::write(&certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let (client_issuers, revocations, allow_plain) = (None, None, false);
    let files = TlsConfig { certificate, key, client_issuers, revocations, allow_plain };
    let security = Security::new(&files);
    fs::remove_dir_all(folder).unwrap();
    security.unwrap()
}

fn is_closed(client: &mut Client) -> bool {
    match client.0.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        result => result.unwrap() == 0,
    }
}

#[test]
fn of_too_many_handshakes_the_oldest_goes_and_all_go_in_time() {
    crate::system::descriptors::raise_limit();
    let (mut server, security) = (TestServer::new(), security());
    let connect = |server: &mut TestServer| {
        let security = security.clone();
        let tls = |stream| Transport::Tls(Box::new(Tls::new(Plain::new(stream), security)));
        let client = server.connect_over(0, tls);
        server.step(0);
        client
    };
    let begun = Instant::now();
    let mut clients: Vec<_> = (0..quota::HANDSHAKES).map(|_| connect(&mut server)).collect();
    assert_eq!(server.shared.placement.sessions(0), clients.len());
    let _one_too_many = connect(&mut server);
    assert_eq!(server.shared.placement.sessions(0), clients.len());
    assert!(is_closed(&mut clients[0]));
    assert!(!is_closed(&mut clients[1]));
    let next = server.workers[0].sessions.handshakes.next().unwrap();
    let seconds = Duration::from_secs;
    assert!(next >= begun + seconds(10) && next <= Instant::now() + seconds(10));
    server.workers[0].sessions.handshakes.expire();
    server.step(0);
    assert_eq!(server.shared.placement.sessions(0), 0);
}
