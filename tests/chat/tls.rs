//! TLS: who trusts whom, under which names, and what each side says if not.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rcgen::{GeneralSubtree, KeyPair, NameConstraints, date_time_ymd};

use crate::harness::authority::{Authority, Pair, has_openssl, write_secret};
use crate::harness::way::Folder;
use crate::harness::{
    Finished, Peer, Place, Program, Server, Signal, bash, chatbox, left_out, wait_until,
};

/// A server over TLS, with more flags.
pub fn server(pair: &Pair, flags: &[&str]) -> Server {
    Server::with(&[&["-v"], &pair.flags()[..], flags].concat())
}

/// What becomes of a server that does not start.
pub fn refused(words: &[&str]) -> Finished {
    Program::start(chatbox([&["server", "0"], words].concat())).finish()
}

/// What becomes of a sender with one text.
pub fn sender(port: u16, host: &str, user: &str, flags: &[&str]) -> Finished {
    let port = port.to_string();
    let words = ["sender", host, &port, user, "--room", "cafe", "-m", "hi"];
    Program::start(chatbox([&words, flags].concat())).finish()
}

#[test]
fn every_program_speaks_tls() {
    let authority = Authority::new();
    let server = server(&authority.server(|_| {}), &[]);
    let own = authority.own();
    let trust = ["--tls", "--cacert", &own];
    let receiver = server.receiver_with(&[&trust[..], &["-n", "20001"]].concat(), "eve", "cafe");
    server.program.expect_stderr("receiver eve (TLS ");
    sender(server.port, "localhost", "bob", &trust).assert(0, b"", "");
    let mut piped = server.client("sender", &[&["bob", "--room", "cafe"], &trust[..]].concat());
    piped.args(["-q"]);
    let mut piped = Program::start(piped);
    let lines: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    piped.say(&lines);
    piped.end_of_input();
    piped.finish().assert(0, b"", "");
    let heard: String = (0..20_000).map(|number| format!("bob: {number}\n")).collect();
    receiver.finish().assert(0, format!("bob: hi\n{heard}").as_bytes(), "");
    let flags = [&trust[..], &["-q", "--messages", "2000", "--window", "100"]].concat();
    let bench = Program::start(server.client("bench", &flags)).finish();
    assert_eq!(bench.status.code(), Some(0), "{bench:?}");
}

#[test]
fn each_reason_not_to_trust_a_server_is_one_line() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let own = authority.own();
    let trust = ["--tls", "--cacert", &own];
    let past = authority.server(|params| params.not_after = date_time_ymd(2024, 2, 3));
    let expired = server(&past, &[]);
    expired.program.expect_stderr("has expired on 2024-02-03");
    let early = authority.server(|params| params.not_before = date_time_ymd(2094, 2, 3));
    server(&early, &[]).program.expect_stderr("does not hold before 2094-02-03");
    let finished = sender(expired.port, "localhost", "bob", &trust);
    finished.assert_one_error(1, "the server's certificate has expired");
    let right = server(&authority.server(|_| {}), &[]);
    let finished = sender(right.port, "127.0.0.2", "bob", &trust);
    let line =
        "the server's certificate is not for this name, but for localhost or 127.0.0.1: connect";
    finished.assert_one_error(1, line);
    let other = stranger.own();
    let finished = sender(right.port, "localhost", "bob", &["--tls", "--cacert", &other]);
    finished.assert_one_error(1, "from nobody who is trusted here");
    sender(right.port, "localhost", "bob", &["--tls", "--insecure"]).assert(0, b"", "");
    let plain = Server::with(&[]);
    let begun = Instant::now();
    let finished = sender(plain.port, "localhost", "bob", &trust);
    finished.assert_one_error(1, "the server ended the connection as soon as TLS began");
    let said = String::from_utf8_lossy(&finished.stderr);
    assert!(!said.contains("without --tls"), "it need not be so: {said}");
    // Somebody who speaks first, and no TLS.
    let speaking = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = speaking.local_addr().unwrap().port();
    let greeting = std::thread::spawn(move || {
        let (mut stream, _) = speaking.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"220 hello\r\n").unwrap();
        drop(std::io::Read::read(&mut stream, &mut [0]));
    });
    let finished = sender(port, "127.0.0.1", "bob", &trust);
    finished.assert_one_error(1, "the server does not speak TLS there");
    greeting.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(9), "only after a time-out");
}

#[test]
fn a_client_without_tls_is_told_so_at_once() {
    let authority = Authority::new();
    let server = server(&authority.server(|_| {}), &[]);
    let begun = Instant::now();
    let finished = sender(server.port, "localhost", "bob", &[]);
    finished.assert_one_error(1, "this server speaks TLS, connect with --tls");
    server.program.expect_stderr("the client does not speak TLS");
    assert!(begun.elapsed() < Duration::from_secs(9), "only after a time-out");
}

/// The server does not know yet what it would speak.
#[test]
fn a_server_without_a_place_says_so_with_or_without_tls() {
    let authority = Authority::new();
    let (pair, own) = (authority.server(|_| {}), authority.own());
    for flags in [&["--max-clients", "1"][..], &["--max-clients", "1", "--allow-plain"]] {
        let server = server(&pair, flags);
        let mut ann = authority.peer(server.port, None, &[]);
        assert_eq!(ann.ask("slogin:ann"), "ok:logged in as ann");
        let trust = ["--tls", "--cacert", &own];
        let finished = sender(server.port, "localhost", "bob", &trust);
        finished.assert_one_error(1, "the server, without TLS, says: the server is full");
        sender(server.port, "localhost", "bob", &[]).assert_one_error(1, "the server is full");
    }
}

#[test]
fn who_speaks_another_protocol_over_tls_is_refused_and_who_names_none_is_let_in() {
    let authority = Authority::new();
    let server = server(&authority.server(|_| {}), &[]);
    for (protocols, answer) in [
        (&[][..], Some("ok:logged in as bob")),
        (&["chatbox"], Some("ok:logged in as bob")),
        (&["h2", "chatbox"], Some("ok:logged in as bob")),
        (&["h2", "http/1.1"], None),
    ] {
        let mut peer = authority.peer(server.port, None, protocols);
        let sent = peer.send("slogin:bob\n");
        let heard = sent.and_then(|()| peer.line()).ok();
        assert_eq!(heard.as_deref(), answer, "{protocols:?}");
    }
}

#[test]
fn certificates_and_keys_that_will_not_do_are_one_line() {
    let authority = Authority::new();
    let pair = authority.server(|_| {});
    let [_, certificate, _, key] = pair.flags();
    let nowhere = authority.path("nowhere").to_str().unwrap().to_owned();
    let nothing = authority.path("nothing").to_str().unwrap().to_owned();
    write_secret(nothing.as_ref(), "nothing\n");
    let other = authority.path("other.key").to_str().unwrap().to_owned();
    write_secret(other.as_ref(), &KeyPair::generate().unwrap().serialize_pem());
    let broken = authority.path("broken.pem").to_str().unwrap().to_owned();
    let text = fs::read_to_string(certificate).unwrap();
    write_secret(broken.as_ref(), &text.replace("\nM", "\n!"));
    let open = authority.path("open.key").to_str().unwrap().to_owned();
    write_secret(open.as_ref(), &fs::read_to_string(key).unwrap());
    for (cert, key, problem) in [
        (&*nowhere, key, "cannot read "),
        (certificate, &*nowhere, "cannot read "),
        (&*nothing, key, "nothing has no certificate in PEM"),
        (certificate, &*nothing, "nothing has no private key"),
        (certificate, certificate, "others can read the key"),
        (&*broken, key, "broken.pem is broken"),
        (certificate, &*other, "other.key is not that of the certificate"),
    ] {
        refused(&["--cert", cert, "--key", key]).assert_one_error(1, problem);
    }
    for mode in [0o644, 0o604, 0o660, 0o602] {
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
        refused(&["--cert", certificate, "--key", &open])
            .assert_one_error(1, "others can read the key");
    }
    let pair = [&["--cert", certificate, "--key", key], &["--client-ca"][..]].concat();
    refused(&[&pair[..], &[nothing.as_str()]].concat())
        .assert_one_error(1, "no certificate in PEM");
    let own = authority.own();
    let finished = refused(&[&pair[..], &[&own, "--crl", &own]].concat());
    finished.assert_one_error(1, "no list of revoked certificates in PEM");
    // A client's are looked at, too.
    let server = server(&authority.server(|_| {}), &[]);
    let finished = sender(server.port, "localhost", "bob", &["--tls", "--cacert", &nothing]);
    finished.assert_one_error(1, "nothing has no certificate in PEM");
}

#[test]
fn a_certificate_that_ends_soon_is_told_of() {
    let authority = Authority::new();
    let day = 24 * 3600;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    for (days, told) in [(13, true), (15, false)] {
        let ends = now + Duration::from_secs(day * days);
        let pair = authority.server(|params| {
            params.not_after = date_time_ymd(1970, 1, 1) + ends;
        });
        let server = server(&pair, &[]);
        let log = server.program.stderr();
        assert_eq!(log.contains("server.pem expires on 20"), told, "{days} days: {log}");
    }
}

/// In a folder, with an authority's certificate and key for `localhost` from `openssl`.
fn self_signed(authority: &Authority, make_key: &str) -> Pair {
    let (certificate, key) = (authority.path("own.pem"), authority.path("own.key"));
    let sign = "openssl req -x509 -key own.key -subj /CN=localhost -days 30 -out own.pem";
    let mut command = bash(&format!("rm -f own.key; {make_key} -out own.key && {sign}"));
    command.current_dir(authority.path(""));
    assert_eq!(Program::start(command).finish().status.code(), Some(0), "{make_key}");
    Pair { certificate, key }
}

#[test]
fn a_key_may_have_any_form_that_openssl_gives_it_but_a_passphrase() {
    if !has_openssl() {
        return left_out("there is no openssl");
    }
    let authority = Authority::new();
    for (make_key, form) in [
        ("openssl genrsa -traditional", "BEGIN RSA PRIVATE KEY"),
        ("openssl ecparam -name prime256v1 -genkey -noout", "BEGIN EC PRIVATE KEY"),
        // With a block before it that is no key.
        ("openssl ecparam -name secp384r1 -genkey", "BEGIN EC PARAMETERS"),
        ("openssl genpkey -algorithm rsa", "BEGIN PRIVATE KEY"),
        ("openssl genpkey -algorithm ed25519", "BEGIN PRIVATE KEY"),
    ] {
        let pair = self_signed(&authority, make_key);
        let text = fs::read_to_string(&pair.key).unwrap();
        assert!(text.contains(form), "{make_key}: {text}");
        let server = server(&pair, &[]);
        let finished = sender(server.port, "localhost", "bob", &["--tls", "--insecure"]);
        finished.assert(0, b"", "");
    }
    let locked = "openssl genpkey -algorithm ed25519 -aes256 -pass pass:secret -out own.key";
    let mut command = bash(locked);
    command.current_dir(authority.path(""));
    Program::start(command).finish();
    let [certificate, key] = ["own.pem", "own.key"].map(|name| authority.path(name));
    let pair = Pair { certificate, key };
    refused(&pair.flags()).assert_one_error(1, "own.key has no private key without a passphrase");
}

#[test]
fn names_come_from_certificates_and_there_is_no_way_round() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let own = authority.own();
    let server = server(&authority.server(|_| {}), &["--client-ca", &own]);
    let trust = ["--tls", "--cacert", &own];
    let rob = authority.client("rob", &["bob", "chat.example.org"]);
    let flags = [&trust[..], &rob.flags()].concat();
    for name in ["rob", "bob"] {
        sender(server.port, "localhost", name, &flags).assert(0, b"", "");
        let line = format!("sender {name} (TLS ");
        server.program.expect_stderr(&line);
    }
    server.program.expect_stderr(", certificate bob or rob) logged in");
    let load = [&["--messages", "200", "-q", "--user", "rob"], &flags[..]].concat();
    let bench = Program::start(server.client("bench", &load)).finish();
    assert_eq!(bench.status.code(), Some(0), "{bench:?}");
    for name in ["chat", "Bob", "eve", "rob2"] {
        let finished = sender(server.port, "localhost", name, &flags);
        finished.assert_one_error(1, "by your certificate you are bob or rob, log in as that");
    }
    let nameless = authority.client("Robert Bob", &["chat.example.org"]);
    let finished =
        sender(server.port, "localhost", "bob", &[&trust[..], &nameless.flags()].concat());
    finished.assert_one_error(1, "your certificate has no name of letters and digits");
    let finished = sender(server.port, "localhost", "bob", &trust);
    finished.assert_one_error(1, "the server wants to see a certificate");
    let foreign = stranger.client("bob", &[]);
    let finished =
        sender(server.port, "localhost", "bob", &[&trust[..], &foreign.flags()].concat());
    finished.assert_one_error(1, "the server refuses the certificate of --cert");
    // A server's is none for a client.
    let wrong = authority.server(|_| {});
    let finished = sender(server.port, "localhost", "bob", &[&trust[..], &wrong.flags()].concat());
    finished.assert_one_error(1, "the server refuses the certificate of --cert");
    sender(server.port, "localhost", "bob", &[]).assert_one_error(1, "this server speaks TLS");
}

/// To find out which of them vouches for which takes a processor for seconds, and they stay in memory for
/// as long as the client does.
#[test]
fn nobody_shows_very_many_certificates() {
    let authority = Authority::new();
    let own = authority.own();
    let server = server(&authority.server(|_| {}), &["--client-ca", &own]);
    let bob = authority.client("bob", &[]);
    let one = fs::read_to_string(&bob.certificate).unwrap();
    let other = fs::read_to_string(&own).unwrap();
    let names: Vec<_> = (0..1000).map(|number| format!("a-long-name-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let large = fs::read_to_string(authority.client("large", &names).certificate).unwrap();
    let flags = [&["--tls", "--cacert", &own][..], &bob.flags()].concat();
    let many = [7, 100].map(|count| (other.repeat(count), false));
    for (others, is_right) in [(other.repeat(6), true), (large, false)].into_iter().chain(many) {
        fs::write(&bob.certificate, one.clone() + &others).unwrap();
        let finished = sender(server.port, "localhost", "bob", &flags);
        if is_right {
            finished.assert(0, b"", "");
        } else {
            finished.assert_one_error(1, "the server refuses the certificate of --cert");
        }
    }
}

/// What limits an issuer binds names in the DNS alone.
#[test]
fn an_issuer_for_some_people_alone_names_no_others() {
    let authority = Authority::new();
    let own = authority.own();
    let server = server(&authority.server(|_| {}), &["--client-ca", &own]);
    let deputy = authority.deputy("deputy", |params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("bob".into())],
            excluded_subtrees: Vec::new(),
        });
    });
    let both = deputy.client("alice", &["bob"]);
    let flags = [&["--tls", "--cacert", &own][..], &both.flags()].concat();
    sender(server.port, "localhost", "bob", &flags).assert(0, b"", "");
    let finished = sender(server.port, "localhost", "alice", &flags);
    finished.assert_one_error(1, "by your certificate you are bob, log in as that");
}

#[test]
fn an_issuer_of_clients_that_has_expired_is_told() {
    let authority = Authority::new();
    let mut params = rcgen::CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(2021, 2, 3);
    let old = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let path = authority.path("old.pem");
    fs::write(&path, old.pem()).unwrap();
    let server = server(&authority.server(|_| {}), &["--client-ca", path.to_str().unwrap()]);
    server.program.expect_stderr("old.pem has expired on 2021-02-03");
}

#[test]
fn the_report_says_how_clients_came_and_what_vouches_for_them() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (own, pair) = (authority.own(), authority.server(|_| {}));
    let flags = ["--allow-plain", "--socket", folder.path().to_str().unwrap()];
    let open = server(&pair, &flags);
    let socket = folder.path().join(open.port.to_string());
    let mut plain = [Peer::connect(open.port), Peer::connect(open.port)];
    plain.iter_mut().for_each(|peer| peer.ok("slogin:bob"));
    let mut secret = authority.peer(open.port, None, &[]);
    secret.ask("slogin:bob");
    Peer::connect(Place::Socket(socket)).ok("slogin:bob");
    let said = |text: &str| wait_until(|| open.report().contains(text), || open.report());
    said("2 clients over TCP, 1 over TLS, 0 over the socket; 0 known by accounts, 0 by cert");
    drop((plain, secret));
    said("0 clients over TCP, 0 over TLS, 0 over the socket");
    let bound = server(&pair, &["--client-ca", &own]);
    let mut known = authority.peer(bound.port, Some(&authority.client("ann", &[])), &[]);
    known.ask("slogin:ann");
    let report = bound.report();
    assert!(
        report.contains("1 over TLS, 0 over the socket; 0 known by accounts, 1 by certificates")
    );
    let report = Server::with(&[]).report();
    assert!(!report.contains("over TCP"), "{report}");
}

#[test]
fn a_certificate_that_is_renewed_is_shown_to_those_who_come_then() {
    let authority = Authority::new();
    let past = authority.server(|params| params.not_after = date_time_ymd(2024, 2, 3));
    let server = server(&past, &[]);
    let own = authority.own();
    let trust = ["--tls", "--cacert", &own];
    sender(server.port, "localhost", "bob", &trust).assert_one_error(1, "has expired");
    authority.server(|_| {});
    server.program.signal(Signal::USR2);
    server.program.expect_stderr("certificates are read again");
    sender(server.port, "localhost", "bob", &trust).assert(0, b"", "");
}

#[test]
fn without_certificates_there_is_nothing_to_read_again() {
    let server = Server::with(&[]);
    let mut peer = Peer::sender(server.port, "bob", "cafe");
    server.program.signal(Signal::USR2);
    server.program.expect_stderr("there is nothing to be read again");
    peer.ok("sendall:still here");
}

#[test]
fn one_port_can_be_for_both_and_then_each_is_called_what_it_is() {
    let authority = Authority::new();
    let server = server(&authority.server(|_| {}), &["--allow-plain"]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    server.program.expect_stderr("receiver eve (127.0.0.1:");
    let own = authority.own();
    sender(server.port, "localhost", "bob", &["--tls", "--cacert", &own]).assert(0, b"", "");
    server.program.expect_stderr("sender bob (TLS 127.0.0.1:");
    receiver.expect("delivery:cafe:bob:hi");
    sender(server.port, "localhost", "ann", &[]).assert(0, b"", "");
    receiver.expect("delivery:cafe:ann:hi");
}

#[test]
fn the_end_that_a_client_says_is_a_half_close_and_one_that_it_does_not_say_is_a_loss() {
    let authority = Authority::new();
    let server = server(&authority.server(|_| {}), &[]);
    let mut peer = authority.peer(server.port, None, &[]);
    peer.send("slogin:bob\njoin:cafe\n").unwrap();
    peer.send(&"sendall:hi\n".repeat(1000)).unwrap();
    peer.end();
    let mut answers = 0;
    while !peer.line().unwrap().is_empty() {
        answers += 1;
    }
    assert_eq!(answers, 1002);
    server.program.expect_stderr(") left\n");
    let mut peer = authority.peer(server.port, None, &[]);
    assert_eq!(peer.ask("slogin:lost"), "ok:logged in as lost");
    peer.0.get_mut().sock.shutdown(std::net::Shutdown::Both).unwrap();
    server.program.expect_stderr("left: connection closed\n");
}

#[test]
fn flags_for_tls_that_make_no_sense_are_wrong_usage() {
    for (flags, problem) in [
        (&["--cert", "x"][..], "need each other"),
        (&["--key", "x"], "need each other"),
        (&["--client-ca", "x"], "need --cert and --key"),
        (&["--crl", "x"], "need --cert and --key"),
        (&["--allow-plain"], "need --cert and --key"),
        (&["--cert", "x", "--key", "x", "--crl", "x"], "--crl needs --client-ca"),
        (&["--cert", "x", "--key", "x", "--client-ca", "x", "--allow-plain"], "exclude each other"),
        (&["--socket", "/", "--no-tcp", "--cert", "x", "--key", "x"], "port 0"),
    ] {
        refused(flags).assert_one_error(2, problem);
    }
    let pair = ["--cert", "x", "--key", "x"];
    let socket = ["--socket", "/", "--socket-any-name", "--client-ca", "x"];
    refused(&[&pair[..], &socket].concat()).assert_one_error(2, "exclude each other");
    for (host, flags, problem) in [
        ("localhost", &["--cacert", "x"][..], "need --tls"),
        ("localhost", &["--insecure"], "need --tls"),
        ("localhost", &["--cert", "x", "--key", "x"], "need --tls"),
        ("localhost", &["--tls", "--cert", "x"], "need each other"),
        ("localhost", &["--tls", "--insecure", "--cacert", "x"], "exclude each other"),
        ("/tmp", &["--tls"], "no TLS on a Unix socket"),
    ] {
        sender(5000, host, "bob", flags).assert_one_error(2, problem);
    }
}
