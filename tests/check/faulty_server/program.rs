//! The faulty server as a program of its own, which stops when it is told to.

use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{process, thread};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Server, serve};
use crate::fault::Fault::{self, *};

/// What tells this executable that it is a server.
const AS_PROGRAM: &str = "CHECK_SERVER";

/// Its standard output; the first is the tests' own.
pub const STDOUT: &str = "/dev/fd/3";

/// The words that start one, with a port behind them.
pub fn command(fault: Fault) -> Vec<String> {
    let exe = std::env::current_exe().unwrap().display().to_string();
    let test = "faulty_server::program::as_a_program";
    let script = format!(
        "export {AS_PROGRAM}=\"$*\"; exec \"$0\" --exact {test} --nocapture 3>&1 >/dev/null"
    );
    ["sh".into(), "-c".into(), script, exe, format!("{fault:?}")].into()
}

/// No test, but that program.
#[test]
fn as_a_program() {
    let Ok(words) = std::env::var(AS_PROGRAM) else { return };
    let (fault, port) = words.split_once(' ').unwrap();
    let known = [
        Nothing,
        EmptyLineAborts,
        EmptyLineHangs,
        NeverAnswers,
        JoinPrinted,
        StopsWithWord,
        StopWaits,
        StopDrops,
        StopPrinted,
    ];
    let fault = known.into_iter().find(|it| format!("{it:?}") == fault).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    let server = Arc::new(Server::new(fault, true));
    let stopping = Arc::clone(&server);
    let mut signals = Signals::new([SIGINT, SIGTERM]).unwrap();
    thread::spawn(move || {
        signals.forever().next();
        stop(&stopping);
    });
    serve(&listener, &server);
}

/// Carries out what was received, writes what is queued, and ends.
fn stop(server: &Server) {
    let fault = server.fault;
    let outputs = server.outputs.lock().unwrap().clone();
    if fault == StopPrinted {
        let _ = std::fs::write(STDOUT, "stopping\n");
    }
    for output in &outputs {
        let _ = output.stream.shutdown(Shutdown::Read);
    }
    let wait_until = |is_done: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is_done() && (fault == StopWaits || begun.elapsed() < Duration::from_secs(3)) {
            thread::sleep(Duration::from_millis(1));
        }
    };
    wait_until(&|| server.clients.load(Ordering::SeqCst) == 0);
    for output in &outputs {
        if fault == StopsWithWord {
            output.write(b"err:stopping\n");
        }
        if fault == StopDrops {
            output.clear();
        }
        output.close();
    }
    wait_until(&|| outputs.iter().all(|output| output.is_done()));
    process::exit(0);
}
