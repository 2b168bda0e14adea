//! A `redis-server` for one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Client, Value, cmd};
use rustix::process::Signal;

use crate::harness::ports::free_port;
use crate::harness::{Program, Server, left_out, wait_until};

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// A Redis with a folder of its own, both of which are gone with the test.
pub struct Engine {
    program: Option<Program>,
    pub port: u16,
    folder: PathBuf,
    flags: Vec<String>,
}

impl Engine {
    /// One that keeps nothing on the disk; `None` if there is none on this machine.
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// One that has written to the disk all that it has answered.
    pub fn durable() -> Option<Self> {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    pub fn with(flags: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            left_out("there is no redis-server (package redis-server)");
            return None;
        }
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("redis-{}-{number}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut engine = Engine { program: None, port: 0, folder, flags: flags.clone() };
        // Somebody else may have taken the port meanwhile.
        for _ in 0..10 {
            if engine.program.is_some() {
                return Some(engine);
            }
            engine.port = free_port();
            engine.run();
        }
        panic!("no Redis with {flags:?}");
    }

    /// Starts it, and waits until it has loaded what it has on the disk.
    pub fn run(&mut self) {
        self.begin(&[]);
        self.wait();
    }

    /// Starts it; to load what it has on the disk takes it seconds.
    pub fn run_slowly(&mut self) {
        self.begin(&["--key-load-delay", "1000"]);
    }

    fn begin(&mut self, flags: &[&str]) {
        let mut command = Command::new("redis-server");
        command.current_dir(&self.folder).args(["--bind", "127.0.0.1", "--save", ""]);
        command.args(["--port", &self.port.to_string()]).args(&self.flags).args(flags);
        self.program = Some(Program::start(command));
    }

    /// Waits until it has loaded what it has, or has ended.
    pub fn wait(&mut self) {
        let Some(mut program) = self.program.take() else { return };
        let mut runs = true;
        let is_there = || {
            runs = program.is_running();
            !runs || self.try_ask(&["PING"]).is_some()
        };
        wait_until(is_there, || "no Redis".into());
        self.program = runs.then_some(program);
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has it carry out a command, unless it refuses.
    pub fn try_ask(&self, words: &[&str]) -> Option<Value> {
        let client = Client::open(self.url()).unwrap();
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
        let mut command = cmd(words[0]);
        command.arg(&words[1..]).query(&mut connection).ok()
    }

    /// Says how many connections there may be. The one that says so is there already.
    pub fn limit_connections(&self) -> impl FnMut(usize) {
        let mut connection = Client::open(self.url()).unwrap().get_connection().unwrap();
        move |most| {
            cmd("CONFIG").arg("SET").arg("maxclients").arg(most).exec(&mut connection).unwrap()
        }
    }

    /// Has it carry out a command.
    pub fn ask(&self, words: &[&str]) -> Value {
        self.try_ask(words).unwrap_or_else(|| panic!("{words:?} is not carried out"))
    }

    pub fn signal(&self, signal: Signal) {
        self.program.as_ref().unwrap().signal(signal);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.program = None;
    }

    /// A server of the chat.
    pub fn server(&self, flags: &[&str]) -> Server {
        let url = self.url();
        Server::with(&[&["--redis", &*url], flags].concat())
    }

    /// So many of them.
    pub fn servers<const N: usize>(&self, flags: &[&str]) -> [Server; N] {
        std::array::from_fn(|_| self.server(flags))
    }

    /// The current epoch.
    pub fn epoch(&self) -> u64 {
        match self.ask(&["HGET", "chatbox:state", "epoch"]) {
            Value::BulkString(epoch) => String::from_utf8(epoch).unwrap().parse().unwrap(),
            other => panic!("no epoch: {other:?}"),
        }
    }
}

/// Tries it until a text is in doubt, as it is where nothing else was on its way to Redis: then `try_it`
/// says so.
pub fn until_one_is_in_doubt(try_it: impl Fn(Engine) -> bool) {
    let is_tried = || Engine::start().is_none_or(&try_it);
    assert!((0..10).any(|_| is_tried()), "no text is ever in doubt");
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
