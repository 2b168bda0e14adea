//! Files with certificates and keys: which are taken, and which are refused and why.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::thread;

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};
use rustix::process::getuid;

use crate::harness::authority::{Authority, Pair, has_openssl, write_secret};
use crate::harness::{Program, Server, Signal, bash, left_out};
use crate::tls::{refused, sender, server};

/// In the folder of an authority.
fn run(authority: &Authority, script: &str) {
    let mut command = bash(script);
    command.current_dir(authority.path(""));
    let finished = Program::start(command).finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
}

/// A file of the authority's folder, as a flag has it.
fn file(authority: &Authority, name: &str) -> String {
    authority.path(name).to_str().unwrap().to_owned()
}

#[test]
fn a_key_of_another_account_is_refused_whatever_its_mode() {
    if !getuid().is_root() {
        return left_out("files are given to others by root alone");
    }
    let authority = Authority::new();
    let pair = authority.server(|_| {});
    for mode in [0o600, 0o400] {
        fs::set_permissions(&pair.key, fs::Permissions::from_mode(mode)).unwrap();
        chown(&pair.key, Some(1), None).unwrap();
        refused(&pair.flags()).assert_one_error(1, "server.key belongs to another account");
    }
    chown(&pair.key, Some(0), None).unwrap();
    server(&pair, &[]);
}

#[test]
fn what_is_read_again_is_a_regular_file_and_nothing_makes_the_server_deaf() {
    let authority = Authority::new();
    let own = authority.own();
    let pair = authority.server(|_| {});
    let crl = authority.revoke(&[]);
    let server = server(&pair, &["--client-ca", &own, "--crl", &crl]);
    for name in ["server.pem", "server.key", "ca.pem", "revoked.pem"] {
        run(&authority, &format!("mv {name} kept && mkfifo -m 600 {name}"));
        server.program.signal(Signal::USR2);
        server.program.expect_stderr(&format!("{name} again: it is no regular file"));
        run(&authority, &format!("mv kept {name}"));
    }
    run(&authority, "rm server.pem && mkfifo server.pem");
    server.program.signal(Signal::USR2);
    assert_eq!(server.stop().status.code(), Some(0));
}

#[test]
fn a_pipe_is_read_at_the_start_and_not_waited_for_without_end() {
    let authority = Authority::new();
    let pair = authority.server(|_| {});
    let [_, certificate, _, key] = pair.flags();
    run(&authority, "mkfifo late empty");
    let [late, empty] = ["late", "empty"].map(|name| file(&authority, name));
    let (text, pipe) = (fs::read(certificate).unwrap(), late.clone());
    // This waits for the server, and so the server for this.
    let writer = thread::spawn(move || fs::write(pipe, text).unwrap());
    let script = format!("exec \"$chatbox\" server --cert {late} --key <(cat {key}) 0");
    let server = Server::run(bash(&script));
    writer.join().unwrap();
    sender(server.port, "localhost", "bob", &["--tls", "--cacert", &authority.own()])
        .assert(0, b"", "");
    server.program.signal(Signal::USR2);
    server.program.expect_stderr(" again: it is no regular file");
    // Each file is read once.
    let own = authority.own();
    let pipes = format!("--key {key} --client-ca <(cat {own})");
    let server =
        Server::run(bash(&format!("exec \"$chatbox\" server --cert {certificate} {pipes} 0")));
    let bob = authority.client("bob", &[]);
    let flags = [&["--tls", "--cacert", &own][..], &bob.flags()].concat();
    sender(server.port, "localhost", "bob", &flags).assert(0, b"", "");
    // Nobody ever writes into this one.
    refused(&["--cert", &empty, "--key", key]).assert_one_error(1, "its end has not come for 10 s");
}

#[test]
fn a_file_that_is_too_large_is_refused_and_not_cut() {
    let authority = Authority::new();
    let own = authority.own();
    let pair = authority.server(|_| {});
    let [_, certificate, _, key] = pair.flags();
    let grow = |path: &str, bytes| {
        let large = file(&authority, "large");
        fs::copy(path, &large).unwrap();
        File::options().write(true).open(&large).unwrap().set_len(bytes).unwrap();
        large
    };
    const MIB: u64 = 1024 * 1024;
    let large = grow(certificate, 4 * MIB);
    refused(&["--cert", &large, "--key", certificate]).assert_one_error(1, "others can read");
    let large = grow(certificate, 4 * MIB + 1);
    refused(&["--cert", &large, "--key", key]).assert_one_error(1, "large is larger than 4 MiB");
    let large = grow(key, 4 * MIB + 1);
    refused(&["--cert", certificate, "--key", &large])
        .assert_one_error(1, "large is larger than 4 MiB");
    let crl = authority.revoke(&[]);
    let large = grow(&crl, 64 * MIB);
    drop(server(&pair, &["--client-ca", &own, "--crl", &large]));
    let large = grow(&crl, 64 * MIB + 1);
    refused(&[&pair.flags()[..], &["--client-ca", &own, "--crl", &large]].concat())
        .assert_one_error(1, "large is larger than 64 MiB");
}

#[test]
fn where_the_list_of_trusted_certificates_is_said_to_be_no_other_place_counts() {
    let authority = Authority::new();
    let server = server(&authority.server(|_| {}), &[]);
    let send = |variable: &str| {
        let words = ["bob", "--room", "cafe", "-m", "hi", "--tls"];
        let mut command = server.client("sender", &words);
        command.env("SSL_CERT_FILE", variable);
        Program::start(command).finish()
    };
    send(&authority.own()).assert(0, b"", "");
    send(&file(&authority, "typo")).assert_one_error(1, "typo: No such file");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_in_words() {
    let authority = Authority::new();
    let own = authority.own();
    let trust = ["--tls", "--cacert", &own];
    let issuing = authority.server(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    });
    let open = server(&issuing, &[]);
    sender(open.port, "localhost", "bob", &trust)
        .assert_one_error(1, "it is an authority's own: issue one for the server with it");
    let bound = server(&issuing, &["--client-ca", &own]);
    let flags = [&["--tls", "--insecure"][..], &issuing.flags()].concat();
    sender(bound.port, "localhost", "bob", &flags)
        .assert_one_error(1, "the server refuses the certificate of --cert");
    bound.program.expect_stderr(
        "the client's certificate will not do: it is an authority's own: issue one for the client",
    );
    let broken = file(&authority, "broken.pem");
    write_secret(
        broken.as_ref(),
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
    );
    let [.., key] = issuing.flags();
    refused(&["--cert", &broken, "--key", key])
        .assert_one_error(1, "broken.pem is broken: it is no certificate");
    sender(open.port, "localhost", "bob", &["--tls", "--cacert", &broken])
        .assert_one_error(1, "broken.pem is broken: it is no certificate");
}

#[test]
fn old_forms_of_certificates_and_locked_keys_are_told_what_they_are() {
    if !has_openssl() {
        return left_out("there is no openssl");
    }
    let authority = Authority::new();
    run(
        &authority,
        "openssl req -new -newkey rsa:2048 -nodes -subj /CN=localhost -keyout own.key -out own.csr &&
         openssl x509 -req -in own.csr -signkey own.key -days 9 -out own.pem &&
         openssl rsa -in own.key -traditional -aes128 -passout pass:secret -out pkcs1.key &&
         openssl ecparam -name prime256v1 -genkey -noout -out ec.key &&
         openssl ec -in ec.key -aes128 -passout pass:secret -out sec1.key",
    );
    let [certificate, key] = ["own.pem", "own.key"].map(|name| authority.path(name));
    let old = Pair { certificate, key };
    refused(&old.flags()).assert_one_error(1, "it is of version 1: issue one of version 3");
    let pair = authority.server(|_| {});
    for name in ["pkcs1.key", "sec1.key"] {
        let key = file(&authority, name);
        assert!(fs::read_to_string(&key).unwrap().contains("Proc-Type"), "{name}");
        let problem = format!("{name} has no private key without a passphrase");
        refused(&["--cert", pair.flags()[1], "--key", &key]).assert_one_error(1, &problem);
    }
}

#[test]
fn a_client_that_trusts_anybody_needs_no_name_that_could_be_in_a_certificate() {
    let authority = Authority::new();
    let server = server(&authority.server(|_| {}), &[]);
    sender(server.port, "127.1", "bob", &["--tls", "--insecure"]).assert(0, b"", "");
    let finished = sender(server.port, "127.1", "bob", &["--tls", "--cacert", &authority.own()]);
    finished.assert_one_error(1, "cannot connect to 127.1");
}

#[test]
fn a_key_that_is_none_or_of_another_kind_is_called_that() {
    let authority = Authority::new();
    let pair = authority.server(|_| {});
    let refused_with = |key: &str| {
        let certificate = pair.certificate.to_str().unwrap();
        refused(&["--cert", certificate, "--key", key])
    };
    for strange in [file(&authority, ""), "/dev/zero".into()] {
        refused_with(&strange).assert_one_error(1, "it is neither a file nor a pipe");
    }
    let key = fs::read_to_string(&pair.key).unwrap();
    let (cut, _) = key.trim_end().rsplit_once('\n').unwrap();
    write_secret(&pair.key, cut);
    refused_with(pair.key.to_str().unwrap()).assert_one_error(1, "its last lines are missing");
    if has_openssl() {
        run(
            &authority,
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out other.key",
        );
        let other = file(&authority, "other.key");
        refused_with(&other).assert_one_error(1, "will not do: RSA of 2048 to 4096 bits, P-256");
    }
}
