//! Unix sockets: who may listen there, who may come, and under which name.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::process::Uid;

use crate::harness::way::Folder;
use crate::harness::{Peer, Place, Program, Server, Signal, Way, chatbox, left_out, wait_until};

/// The words for a server on a socket alone.
fn words(folder: &Folder) -> Command {
    let folder = folder.path().to_str().unwrap();
    chatbox(["server", "-v", "--workers", "3", "--no-tcp", "--socket", folder, "5000"])
}

/// A server on a socket, with flags.
fn server(folder: &Folder, flags: &[&str]) -> Server {
    let mut command = words(folder);
    command.args(flags);
    Server::run(command)
}

fn socket(folder: &Folder) -> Place {
    Place::Socket(folder.path().join("5000"))
}

/// Whether this test may be other users; says so if not.
fn is_root() -> bool {
    let is_root = rustix::process::getuid().is_root();
    if !is_root {
        left_out("only root can be somebody else");
    }
    is_root
}

/// Does something as another user.
fn as_user<T: Send>(uid: u32, action: impl FnOnce() -> T + Send) -> T {
    let become_user = move || {
        let uid = Uid::from_raw(uid);
        // Of this thread alone.
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        action()
    };
    thread::scope(|scope| scope.spawn(become_user).join().unwrap())
}

/// A client that connects as another user.
fn peer_of(uid: u32, folder: &Folder) -> Peer {
    as_user(uid, || Peer::connect(socket(folder)))
}

#[test]
fn a_server_listens_on_a_socket_too_and_takes_it_along_at_the_end() {
    let folder = Folder::new();
    let server = Server::with(&["-v", "--socket", folder.path().to_str().unwrap()]);
    let path = folder.path().join(server.port.to_string());
    server.program.expect_stderr(&format!("listening on {}\n", path.display()));
    server.program.expect_stderr("anybody may use any name over TCP, unlike on the socket");
    let found = fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket() && found.mode() & 0o777 == 0o666, "{found:?}");
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(Place::Socket(path.clone()), "bob", "cafe");
    sender.ok("sendall:hi");
    receiver.expect("delivery:cafe:bob:hi");
    server.program.expect_stderr(&format!(
        "sender bob (socket, uid {}, any name) logged in\n",
        rustix::process::getuid().as_raw(),
    ));
    let finished = server.stop();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(!path.exists());
}

#[test]
fn every_program_takes_a_directory_for_a_host() {
    let server = Server::over(Way::Socket, &["-v"]);
    let receiver = server.receiver_with(&["-n", "1"], "eve", "cafe");
    let flags = ["--room", "cafe", "-m", "hi", "bob"];
    Program::start(server.client("sender", &flags)).finish().assert(0, b"", "");
    receiver.finish().assert(0, b"bob: hi\n", "");
    let bench = Program::start(server.client("bench", &["--messages", "200", "-q"])).finish();
    assert_eq!(bench.status.code(), Some(0), "{bench:?}");
}

#[test]
fn a_socket_that_is_not_there_is_one_line() {
    let folder = Folder::new();
    let host = folder.path().to_str().unwrap();
    for applet in [&["sender"][..], &["receiver"], &["bench"]] {
        let rest: &[_] = match applet {
            ["sender"] => &["bob"],
            ["receiver"] => &["bob", "cafe"],
            _ => &[],
        };
        let words = [applet, &[host, "5000"], rest].concat();
        let finished = Program::start(chatbox(words)).finish();
        finished.assert_one_error(1, &format!("cannot connect to {host}/5000: No such file"));
    }
    let long = format!("/{}", "x".repeat(200));
    let finished = Program::start(chatbox(["sender", &long, "5000", "bob"])).finish();
    finished.assert_one_error(1, "the path is too long");
}

/// Else somebody could stand there who is not the server.
#[test]
fn a_directory_where_others_could_put_a_socket_is_an_error() {
    let folder = Folder::new();
    let refused =
        |problem: &str| Program::start(words(&folder)).finish().assert_one_error(1, problem);
    for mode in [0o775, 0o757, 0o1777] {
        folder.set_mode(mode);
        refused("they may write to it");
    }
    folder.set_mode(0o755);
    if is_root() {
        chown(folder.path(), Some(1), None).unwrap();
        refused("it is somebody else's");
        chown(folder.path(), Some(0), None).unwrap();
    }
    for nowhere in ["/no/such/folder", env!("CARGO_BIN_EXE_chatbox"), ""] {
        let words = ["server", "--no-tcp", "--socket", nowhere, "5000"];
        let finished = Program::start(chatbox(words)).finish();
        finished.assert_one_error(1, "cannot use ");
    }
    let long = folder.path().join("x".repeat(100));
    fs::create_dir(&long).unwrap();
    let words = ["server", "--no-tcp", "--socket", long.to_str().unwrap(), "5000"];
    Program::start(chatbox(words)).finish().assert_one_error(1, "the path is too long");
}

#[test]
fn the_socket_of_a_server_that_has_ended_is_replaced_and_nothing_else() {
    let folder = Folder::new();
    let path = folder.path().join("5000");
    let first = server(&folder, &[]);
    assert!(!first.program.stderr().contains("any name over TCP"), "{:?}", first.program);
    let second = Program::start(words(&folder)).finish();
    second.assert_one_error(1, "another server has the socket");
    Peer::sender(socket(&folder), "bob", "cafe").ok("sendall:still here");
    first.program.signal(Signal::KILL);
    drop(first);
    assert!(path.exists());
    let third = server(&folder, &[]);
    Peer::sender(socket(&folder), "bob", "cafe").ok("sendall:here again");
    assert_eq!(third.stop().status.code(), Some(0));
    let in_the_way = || {
        let finished = Program::start(words(&folder)).finish();
        finished.assert_one_error(1, "/5000 is there already, and is not the socket of a server");
        assert!(fs::symlink_metadata(&path).is_ok());
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    };
    fs::write(&path, "a file").unwrap();
    in_the_way();
    fs::create_dir(&path).unwrap();
    in_the_way();
    symlink("/nowhere", &path).unwrap();
    in_the_way();
    if is_root() {
        drop(UnixListener::bind(&path).unwrap());
        chown(&path, Some(1), None).unwrap();
        in_the_way();
    }
    let lock = path.with_extension("lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    Program::start(words(&folder)).finish().assert_one_error(1, "5000.lock: ");
}

#[test]
fn a_socket_that_somebody_has_replaced_stays() {
    let folder = Folder::new();
    let path = folder.path().join("5000");
    let server = server(&folder, &[]);
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    assert_eq!(server.stop().status.code(), Some(0));
    assert!(path.exists());
}

#[test]
fn a_user_has_the_name_of_the_account_and_no_other() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    let server = server(&folder, &[]);
    let account = |uid| {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let of_uid = |line: &&str| line.split(':').nth(2) == Some(uid);
        let line = passwd.lines().find(of_uid).map(str::to_owned);
        line.map(|line| line.split(':').next().unwrap().to_owned())
    };
    // One that is a name here, one that is none, and somebody without an account.
    assert_eq!(account("1").as_deref(), Some("daemon"));
    assert_eq!(account("33").as_deref(), Some("www-data"));
    assert_eq!(account("54321"), None);
    for (uid, name) in [(1, "daemon"), (33, "uid33"), (54321, "uid54321")] {
        let mut peer = peer_of(uid, &folder);
        for login in ["slogin", "rlogin"] {
            for other in ["root", "bob", "Daemon", "uid1", "uid0", "www-data", ""] {
                let answer = peer.ask(&format!("{login}:{other}"));
                assert_eq!(answer, format!("err:by your account you are {name}, log in as that"));
            }
        }
        peer.ok(&format!("slogin:{name}"));
        let line = format!("sender {name} (socket, uid {uid}, account {name}) logged in\n");
        server.program.expect_stderr(&line);
        peer.ok("join:cafe");
        peer.ok("sendall:hi");
        let mut again = peer_of(uid, &folder);
        again.send(format!("rlogin:bob\nrlogin:{name}\njoin:cafe\n"));
        assert!(again.line().starts_with("err:"));
        assert!(again.line().starts_with("ok:") && again.line().starts_with("ok:"));
    }
    // Whoever could be anybody else anyway.
    let mut own = Peer::connect(socket(&folder));
    own.ok("slogin:daemon");
    let mut account = peer_of(1, &folder);
    account.ok("slogin:daemon");
    let line = "0 clients over TCP, 0 over TLS, 2 over the socket; 1 known by accounts, 0 by cert";
    wait_until(|| server.report().contains(line), || server.report());
}

#[test]
fn the_servers_own_account_may_use_any_name_and_so_may_root() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    chown(folder.path(), Some(1), Some(1)).unwrap();
    let mut command = words(&folder);
    command.uid(1).gid(1);
    let server = Server::run(command);
    peer_of(1, &folder).ok("slogin:anybody");
    Peer::connect(socket(&folder)).ok("slogin:anybody");
    let answer = peer_of(2, &folder).ask("slogin:anybody");
    assert!(answer.starts_with("err:by your account you are "), "{answer}");
    // The clients trust the owner of the directory.
    let host = folder.path().to_str().unwrap();
    let mut client = chatbox(["sender", host, "5000", "bin", "--room", "cafe", "-m", "hi"]);
    client.uid(2).gid(2);
    Program::start(client).finish().assert(0, b"", "");
    for (user, status) in [("bin", 0), ("bench", 1)] {
        let mut bench = chatbox(["bench", "--messages", "20", "-q", "--user", user, host, "5000"]);
        bench.uid(2).gid(2);
        let bench = Program::start(bench).finish();
        assert_eq!(bench.status.code(), Some(status), "{bench:?}");
    }
    let mut check = chatbox(["check", "-q", "server", host, "5000"]);
    check.uid(2).gid(2);
    let finished = Program::start(check).finish();
    finished.assert_last_error(3, "the server has to take any name: \"by your account you are bin");
    drop(server);
}

#[test]
fn any_name_will_do_where_that_is_wanted_and_people_from_elsewhere_are_refused() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    for (flags, answer) in
        [(&[][..], "err:by your account you are uid33"), (&["--socket-any-name"], "ok:")]
    {
        let server = server(&folder, flags);
        let mut peer = peer_of(33, &folder);
        assert!(peer.ask("slogin:bob").starts_with(answer), "{flags:?}");
        let mut stranger = peer_of(65534, &folder);
        assert_eq!(stranger.line(), "err:the system does not say who you are");
        stranger.expect_end();
        server.program.expect_stderr("refusing clients of whom the system does not say");
    }
}

#[test]
fn a_user_has_so_many_places_and_others_have_theirs() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    let server = server(&folder, &["--max-per-address", "2"]);
    let first = [peer_of(1, &folder), peer_of(1, &folder)];
    let mut refused = peer_of(1, &folder);
    assert_eq!(refused.line(), "err:too many clients of yours, at most 2");
    refused.expect_end();
    peer_of(33, &folder).ok("slogin:uid33");
    server.program.expect_stderr("refusing clients from uid 1: it has 2 already");
    drop(first);
    let comes_in = || {
        let mut peer = peer_of(1, &folder);
        // Whoever is refused may be gone already.
        let _ = peer.stream().write_all(b"slogin:daemon\n");
        peer.line() == "ok:logged in as daemon"
    };
    wait_until(comes_in, || server.report());
}

#[test]
fn a_client_talks_to_the_owner_of_the_directory_or_root_alone() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    folder.set_mode(0o777);
    let path = folder.path().join("5000");
    let listener = as_user(1, || UnixListener::bind(&path).unwrap());
    let host = folder.path().to_str().unwrap();
    let run = || Program::start(chatbox(["sender", "--reconnect", host, "5000", "bob"])).finish();
    run().assert_one_error(1, "is neither root nor the owner of the directory, but uid 1");
    chown(folder.path(), Some(1), None).unwrap();
    let trusting = thread::spawn({
        let words = ["sender", host, "5000", "bob"].map(str::to_owned);
        move || Program::start(chatbox(words.iter().map(String::as_str))).finish()
    });
    // The first one has connected, too.
    drop(listener.accept().unwrap());
    let (stream, _) = listener.accept().unwrap();
    Peer::over(stream).expect("slogin:bob");
    trusting.join().unwrap().assert_one_error(1, "the server closed the connection");
}

#[test]
fn flags_for_sockets_that_make_no_sense_are_wrong_usage() {
    for (flags, problem) in [
        (&["--no-tcp", "5000"][..], "need --socket"),
        (&["--socket-any-name", "5000"], "need --socket"),
        (&["--socket", "/tmp", "--no-tcp", "--bind", "localhost", "5000"], "exclude each other"),
        (&["--socket", "/tmp", "--no-tcp", "0"], "port 0"),
        (&["5000", "--socket"], "--socket"),
    ] {
        let words = [&["server"], flags].concat();
        Program::start(chatbox(words)).finish().assert_one_error(2, problem);
    }
}

/// A read stops short where a client has sent one.
#[test]
fn a_client_that_sends_a_descriptor_along_is_heard_all_the_same() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::io::IoSlice;
    use std::mem::MaybeUninit;

    let server = Server::over(Way::Socket, &[]);
    let Place::Socket(path) = server.place() else { panic!() };
    let stream = UnixStream::connect(Path::new(&path)).unwrap();
    let fds = [std::os::fd::AsFd::as_fd(&stream)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    for lines in ["slogin:bob\njoin:cafe\n", "sendall:one\nsendall:two\n"] {
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        let text = [IoSlice::new(lines.as_bytes())];
        sendmsg(&stream, &text, &mut ancillary, SendFlags::empty()).unwrap();
    }
    let mut peer = Peer::over(stream.try_clone().unwrap());
    for answer in ["ok:logged in as bob", "ok:joined room cafe", "ok:sent", "ok:sent"] {
        peer.expect(answer);
    }
}
