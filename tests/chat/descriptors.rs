//! Standard input and output of any kind: pipes, sockets and terminals, blocking or not.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::script::Script;
use crate::harness::terminal::Terminal;
use crate::harness::{PATIENCE, Peer, Program, Server, bash, chatbox, proc_file, wait_until};

/// More than any of them holds.
const TEXTS: usize = 20_000;

/// Pairs of two ends, what is written to the second can be read from the first.
fn pairs() -> Vec<(OwnedFd, OwnedFd)> {
    let (reader, writer) = std::io::pipe().unwrap();
    let (one, other) = UnixStream::pair().unwrap();
    let (near, far) = tcp_pair();
    vec![(reader.into(), writer.into()), (one.into(), other.into()), (near, far)]
}

fn tcp_pair() -> (OwnedFd, OwnedFd) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    // The system would take megabytes otherwise.
    set_socket_recv_buffer_size(&near, 4096).unwrap();
    set_socket_send_buffer_size(&far, 4096).unwrap();
    (near.into(), far.into())
}

/// Somebody who shares the descriptor may have set that.
fn set_nonblocking(fd: &impl AsFd) {
    ioctl_fionbio(fd, true).unwrap();
}

/// Waits until a program has ended.
fn output(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= deadline {
            child.kill().unwrap();
            panic!("still running: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// Nothing more can be written for now.
fn is_full(writer: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(writer, PollFlags::OUT)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 0
}

#[test]
fn a_receiver_writes_to_what_is_full_and_does_not_wait() {
    for (reader, writer) in pairs() {
        set_nonblocking(&writer);
        let watched = writer.try_clone().unwrap();
        let script = Script::new();
        let mut command = chatbox(["receiver", "localhost", &script.port, "eve", "cafe"]);
        let count = TEXTS.to_string();
        command.args(["-n", &count]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.stdout(writer).spawn().unwrap();
        drop(command);
        let mut peer = script.accept();
        let feed = thread::spawn(move || {
            peer.send(format!("ok:\nok:\n{}", "delivery:cafe:bob:hello\n".repeat(TEXTS)));
            peer
        });
        // Nobody reads it until it has met what is full, and waits for that or has failed.
        let pid = child.id();
        let met = || {
            child.try_wait().unwrap().is_some()
                || is_full(&watched) && proc_file(pid, "stat").contains(") S ")
        };
        wait_until(met, || "never full".into());
        drop(watched);
        let mut printed = String::new();
        std::fs::File::from(reader).read_to_string(&mut printed).unwrap();
        let output = output(child);
        assert!(output.status.success(), "{output:?}");
        assert!(printed == "bob: hello\n".repeat(TEXTS), "{} bytes", printed.len());
        drop(feed.join().unwrap());
    }
}

#[test]
fn a_sender_reads_from_what_is_empty_and_does_not_wait() {
    for flags in [&[][..], &["--room", "cafe"]] {
        for (reader, writer) in pairs() {
            set_nonblocking(&reader);
            let script = Script::new();
            let mut command = chatbox(["sender", "localhost", &script.port, "bob"]);
            command.args(flags).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.stdin(reader).spawn().unwrap();
            drop(command);
            let mut peer = script.accept();
            peer.send("ok:\n".repeat(1 + flags.len() / 2));
            peer.expect("slogin:bob");
            let mut writer = std::fs::File::from(writer);
            let mut stderr = BufReader::new(child.stderr.take().unwrap());
            // After each line that it says, it has nothing more to read, as a rule.
            for _ in 0..30 {
                let _ = writer.write_all(b"/nonsense\n");
                let mut said = String::new();
                stderr.read_line(&mut said).unwrap();
                assert!(said.contains("unknown command"), "{said}");
            }
            writer.write_all(b"hi").unwrap();
            drop(writer);
            if !flags.is_empty() {
                peer.expect("join:cafe");
            }
            peer.expect("sendall:hi");
            peer.send("ok:\n");
            let status = output(child).status.code();
            assert_eq!(status, Some(i32::from(!flags.is_empty())), "lines were wrong");
        }
    }
}

/// In a silent room.
#[test]
fn a_receiver_notices_at_once_that_a_socket_is_not_read_any_more() {
    let (reader, writer) = UnixStream::pair().unwrap();
    let script = Script::new();
    let mut command = chatbox(["receiver", "localhost", &script.port, "eve", "cafe"]);
    let writer: OwnedFd = writer.into();
    command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    drop(command);
    let mut peer = script.accept();
    peer.send("ok:\nok:\ndelivery:cafe:bob:hi\n");
    let mut printed = [0; 8];
    (&reader).read_exact(&mut printed).unwrap();
    assert_eq!(&printed, b"bob: hi\n");
    drop(reader);
    assert_eq!(output(child).status.signal(), Some(13));
}

/// The end of a socket is seen by reading, unlike that of a pipe.
#[test]
fn a_sender_does_not_wait_for_a_server_when_its_input_is_over() {
    for (reader, writer) in pairs() {
        let script = Script::new();
        let mut command = chatbox(["sender", "localhost", &script.port, "bob"]);
        command.args(["--room", "cafe", "--reconnect"]);
        command.stdin(reader).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        drop(command);
        let mut peer = script.accept();
        peer.send("ok:\nok:\n");
        peer.expect("slogin:bob");
        peer.expect("join:cafe");
        drop((peer, script));
        drop(writer);
        let output = output(child);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn a_full_standard_error_loses_nothing_of_what_is_said() {
    let (reader, writer) = std::io::pipe().unwrap();
    set_nonblocking(&writer);
    let script = Script::new();
    let mut command = chatbox(["sender", "localhost", &script.port, "bob"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut peer = script.accept();
    peer.send("ok:\n");
    let mut stdin = child.stdin.take().unwrap();
    let count = 5000;
    let feed = thread::spawn(move || stdin.write_all("/nonsense\n".repeat(count).as_bytes()));
    // It has begun, and soon there is no room.
    peer.expect("slogin:bob");
    let said = std::io::read_to_string(reader).unwrap();
    feed.join().unwrap().unwrap();
    assert_eq!(output(child).status.code(), Some(0));
    assert_eq!(said.lines().count(), count, "{}", said.len());
    assert!(said.lines().all(|line| line.starts_with("sender: unknown command")));
}

/// Each line of the log is written whole, or counted among those for which there was no time.
#[test]
fn the_log_of_a_server_is_whole_whatever_it_is_written_to() {
    const REFUSED: usize = 5000;
    let (reader, writer) = std::io::pipe().unwrap();
    set_nonblocking(&writer);
    let mut command = chatbox(["server", "0", "--bind", "127.0.0.1", "-vv"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    let child = command.spawn().unwrap();
    drop(command);
    let mut log = BufReader::new(reader);
    let listening = log.by_ref().lines().find(|line| line.as_ref().unwrap().contains("listening"));
    let listening = listening.unwrap().unwrap();
    let port: u16 = listening.rsplit(':').next().unwrap().parse().expect(&listening);
    let mut peer = Peer::connect(port);
    // Nobody reads the log meanwhile.
    for _ in 0..REFUSED {
        peer.err("sendall:hi");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let log = std::io::read_to_string(log).unwrap();
    assert_eq!(output(child).status.code(), Some(0));
    let mut accounted = 0;
    for line in log.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [_, "-", _level, first, ..] = words[..] else { panic!("half a line: {line}") };
        accounted += match first.parse::<usize>() {
            Ok(left_out) => left_out,
            Err(_) => usize::from(line.contains("refused")),
        };
    }
    // A few lines about other things may be among those that are counted.
    assert!(
        (REFUSED..REFUSED + 5).contains(&accounted),
        "{accounted}: {} lines",
        log.lines().count()
    );
}

#[test]
fn help_that_is_not_read_to_its_end_is_no_error() {
    for args in ["--help", "server --help", "--list", "bench --version"] {
        let script = format!("\"$chatbox\" {args} | true; echo ${{PIPESTATUS[0]}}");
        let finished = Program::start(bash(&script)).finish();
        // It may have been quicker than the other.
        assert!([&b"141\n"[..], b"0\n"].contains(&&finished.stdout[..]), "{finished:?}");
        assert_eq!(finished.stderr, b"", "{finished:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = chatbox(args.split(' '));
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.signal(), Some(13), "{output:?}");
        assert_eq!(output.stderr, b"", "{output:?}");
    }
}

#[test]
fn a_terminal_that_does_not_wait_has_a_prompt_all_the_same() {
    for kind in ["xterm-256color", "dumb"] {
        let script = Script::new();
        let mut command = chatbox(["sender", "localhost", &script.port, "bob"]);
        command.env("XDG_STATE_HOME", "/dev/null").env("TERM", kind);
        let mut sender = Terminal::start_nonblocking(&command);
        let mut peer = script.accept();
        peer.expect("slogin:bob");
        peer.send("ok:\n");
        sender.expect_at_cursor(">");
        for text in ["one", "two"] {
            sender.keys(format!("{text}\r"));
            peer.expect(&format!("sendall:{text}"));
            peer.send("ok:\n");
        }
        sender.keys("/quit\r");
        peer.expect("quit:");
        peer.send("ok:\n");
        assert_eq!(sender.finish().code(), Some(0), "{sender:?}");
    }
}

/// Some programs begin what they write with it.
#[test]
fn a_byte_order_mark_is_skipped() {
    for flags in [&[][..], &["--room", "bar"]] {
        let server = Server::with(&[]);
        let mut receiver = Peer::receiver(server.port, "eve", "cafe");
        let mut sender = Program::start(server.client("sender", &[flags, &["bob"]].concat()));
        sender.say("\u{feff}/join cafe\nhi\n\u{feff}hello\n");
        sender.end_of_input();
        sender.finish().assert(0, b"", "");
        receiver.expect("delivery:cafe:bob:hi");
        receiver.expect("delivery:cafe:bob:\\xef\\xbb\\xbfhello");
    }
}

/// A client that is the first process of a container, if the system lets this one make one.
fn in_container(script: &Script, args: &[&str]) -> Option<Command> {
    let unshare = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", program]);
        command
    };
    let possible = unshare("true").stderr(Stdio::null()).status().is_ok_and(|done| done.success());
    let mut command = unshare(env!("CARGO_BIN_EXE_chatbox"));
    command.args([args[0], "localhost", &script.port]).args(&args[1..]);
    possible.then_some(command)
}

#[test]
fn the_first_process_of_a_container_ends_by_a_signal() {
    for args in [&["receiver", "eve", "cafe"][..], &["sender", "bob"]] {
        let script = Script::new();
        let Some(command) = in_container(&script, args) else {
            return crate::harness::left_out("there can be no container");
        };
        let outside = Program::start(command);
        let mut peer = script.accept();
        peer.line();
        let children = format!("/proc/{0}/task/{0}/children", outside.pid());
        let child = std::fs::read_to_string(children).unwrap();
        let child = Pid::from_raw(child.trim().parse().unwrap()).unwrap();
        kill_process(child, Signal::TERM).unwrap();
        outside.finish().assert(128 + 15, b"", "");
    }
}
