//! A connection to Redis: commands go out together, and their replies come back one by one.

use std::time::Duration;

use ::redis::{
    Client, Cmd, Connection, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion, Value,
    io::tcp::TcpSettings,
};

use super::error::RedisError;

/// The oldest version that will do.
const OLDEST: u32 = 7;

/// How a refusal begins that is soon over.
const PASSING: [&str; 3] = ["LOADING", "BUSY ", "MASTERDOWN"];

/// Where Redis is, and what this chat calls its keys.
#[derive(Clone)]
pub(super) struct Target {
    client: Client,
    /// As a log calls it.
    pub address: String,
    prefix: String,
}

/// Without what is in the URL, which may be a password.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Target {
    /// Reads a URL; `password` counts more than the one in there.
    ///
    /// # Errors
    ///
    /// [`RedisError::Url`] if it is none.
    pub(super) fn new(url: &str, password: Option<&str>, prefix: &str) -> Result<Self, RedisError> {
        let info = url.into_connection_info().map_err(|_| RedisError::Url)?;
        // What is behind a '?' would count for nothing but with a socket.
        if url.contains('?') && !matches!(info.addr(), ConnectionAddr::Unix(_)) {
            return Err(RedisError::Url);
        }
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let mut settings = settings.set_protocol(ProtocolVersion::RESP2);
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port)
            | ConnectionAddr::TcpTls { host, port, insecure: false, .. } => {
                if host.contains(':') {
                    format!("[{host}]:{port}")
                } else {
                    format!("{host}:{port}")
                }
            }
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => return Err(RedisError::Url),
        };
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        let client = Client::open(info).map_err(|_| RedisError::Url)?;
        Ok(Target { client, address, prefix: prefix.to_owned() })
    }

    /// The key of that name.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The key of a room's stream.
    pub(super) fn stream(&self, room: &str) -> String {
        self.key(&format!("room:{room}"))
    }

    /// A bare connection that waits for a reply for so long.
    pub(super) fn connect(&self, patience: Duration) -> Result<Connection, Trouble> {
        let connection = self.client.get_connection_with_timeout(patience).map_err(trouble)?;
        be_patient(&connection, patience)?;
        Ok(connection)
    }
}

/// From now on, a reply may take so long.
fn be_patient(connection: &Connection, patience: Duration) -> Result<(), Trouble> {
    connection.set_read_timeout(Some(patience)).map_err(trouble)?;
    connection.set_write_timeout(Some(patience)).map_err(trouble)
}

/// What Redis does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It does not answer: whatever it was asked for may have been done or not, or may still be.
    Silent(String),
    /// It has refused, in its own words, and nothing was done.
    Refused(String),
    /// It is of that version.
    TooOld(String),
}

impl Trouble {
    /// Redis has refused in these words.
    pub(super) fn refused(words: &str) -> Self {
        Trouble::Refused(one_line(words))
    }

    /// Redis has refused, and would again on a new connection, on which the scripts are there.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Trouble::Refused(words) if !words.starts_with("NOSCRIPT"))
    }

    /// It is final, and will not be otherwise in a moment, as while Redis reads what it has, or
    /// carries out somebody's script: that is as if it were away.
    pub(super) fn is_lasting(&self) -> bool {
        let passes = |words: &str| PASSING.iter().any(|passing| words.starts_with(passing));
        self.is_final() && !matches!(self, Trouble::Refused(words) if passes(words))
    }

    /// It is one key's: others have nothing to do with it.
    pub(super) fn is_of_a_key(&self) -> bool {
        matches!(self, Trouble::Refused(words) if words.starts_with("WRONGTYPE"))
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Silent(reason) => f.write_str(reason),
            Trouble::Refused(reason) => write!(f, "Redis says: {reason}"),
            Trouble::TooOld(version) => write!(f, "Redis is version {version}, 7.0 is needed"),
        }
    }
}

/// What the crate says of an error, in one short line.
pub(super) fn trouble(error: ::redis::RedisError) -> Trouble {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
            let code = error.code().unwrap_or_default();
            let detail = error.detail().unwrap_or(error.category());
            Trouble::refused(&format!("{code} {detail}"))
        }
        _ if error.is_timeout() => Trouble::Silent("it does not answer".into()),
        ErrorKind::Parse => Trouble::Silent("what answers there is no Redis".into()),
        _ => Trouble::Silent(one_line(&error.to_string())),
    }
}

/// What Redis says, for a line of the protocol or the log; where in a script it happened is left out.
fn one_line(text: &str) -> String {
    let text = text.split(" script: ").next().unwrap_or_default();
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    text.trim().chars().take(200).map(plain).collect()
}

/// The scripts. Redis keeps each under a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Append,
    Arrive,
    Open,
    Trim,
    Beat,
}

const SCRIPTS: [&str; 5] = [
    include_str!("scripts/append.lua"),
    include_str!("scripts/arrive.lua"),
    include_str!("scripts/open.lua"),
    include_str!("scripts/trim.lua"),
    include_str!("scripts/beat.lua"),
];

/// Commands that go out together.
#[derive(Debug, Default)]
pub(super) struct Commands {
    packed: Vec<u8>,
    count: usize,
}

impl Commands {
    /// Adds a command.
    pub(super) fn add(&mut self, words: &[&[u8]]) {
        let mut command = Cmd::new();
        words.iter().for_each(|word| {
            command.arg(*word);
        });
        command.write_packed_command(&mut self.packed);
        self.count += 1;
    }

    /// Adds a call of a script.
    pub(super) fn call(&mut self, link: &Link, script: Script, keys: &[&str], more: &[&[u8]]) {
        let (hash, count) = (&link.hashes[script as usize], keys.len().to_string());
        let mut words: Vec<&[u8]> = vec![b"EVALSHA", hash.as_bytes(), count.as_bytes()];
        words.extend(keys.iter().map(|key| key.as_bytes()));
        words.extend(more);
        self.add(&words);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A connection, on which the scripts are known.
pub(super) struct Link {
    connection: Connection,
    hashes: Vec<String>,
    /// It has been silent once, and is not waited for again.
    is_silent: bool,
    /// Names the process of Redis at the other end: another one means another connection.
    pub run: String,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("run", &self.run).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects; waits for a reply for so long, also later.
    pub(super) fn open(target: &Target, patience: Duration) -> Result<Self, Trouble> {
        let connection = target.connect(patience)?;
        let mut link =
            Link { connection, hashes: Vec::new(), is_silent: false, run: String::new() };
        let mut commands = Commands::default();
        commands.add(&[b"INFO", b"server"]);
        // Whoever may not announce anything is not to find that out later.
        commands.add(&[b"PUBLISH", target.key("news").as_bytes(), b"-"]);
        SCRIPTS.iter().for_each(|script| commands.add(&[b"SCRIPT", b"LOAD", script.as_bytes()]));
        let mut replies = Vec::new();
        let asked = link.ask(commands, |_, reply| replies.push(reply));
        let texts: Result<Vec<_>, _> = replies.into_iter().map(|reply| reply.map(text)).collect();
        // Who has no place for one more says so, and hears nothing.
        let mut texts = texts?.into_iter();
        asked?;
        let info = texts.next().unwrap_or_default();
        let _receivers = texts.next();
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let version = field("redis_version:").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse().ok());
        if major.is_none_or(|major: u32| major < OLDEST) {
            return Err(Trouble::TooOld(version.to_owned()));
        }
        link.run = field("run_id:").unwrap_or_default().to_owned();
        link.hashes = texts.collect();
        Ok(link)
    }

    /// From now on, a reply may take so long.
    ///
    /// # Errors
    ///
    /// [`Trouble::Silent`] if the system does not see to that.
    pub(super) fn set_patience(&self, patience: Duration) -> Result<(), Trouble> {
        be_patient(&self.connection, patience)
    }

    /// Sends commands, and gives out each reply with its place among them.
    ///
    /// # Errors
    ///
    /// [`Trouble::Silent`]: of what has had no reply, it is not known what became of it.
    pub(super) fn ask(
        &mut self,
        commands: Commands,
        each: impl FnMut(usize, Result<Value, Trouble>),
    ) -> Result<(), Trouble> {
        if self.is_silent {
            return Err(Trouble::Silent("it does not answer".into()));
        }
        let asked = self.ask_for_once(commands, each);
        self.is_silent = asked.is_err();
        asked
    }

    fn ask_for_once(
        &mut self,
        commands: Commands,
        mut each: impl FnMut(usize, Result<Value, Trouble>),
    ) -> Result<(), Trouble> {
        self.connection.send_packed_command(&commands.packed).map_err(trouble)?;
        for place in 0..commands.count {
            let reply = match self.connection.recv_response() {
                Ok(Value::ServerError(error)) => Err(trouble(error.into())),
                Ok(value) => Ok(value),
                Err(error) => match trouble(error) {
                    silent @ Trouble::Silent(_) => return Err(silent),
                    refused => Err(refused),
                },
            };
            each(place, reply);
        }
        Ok(())
    }

    /// Sends one command.
    pub(super) fn ask_one(&mut self, commands: Commands) -> Result<Value, Trouble> {
        let mut replies = Vec::new();
        self.ask(commands, |_, reply| replies.push(reply))?;
        replies.pop().unwrap_or(Ok(Value::Nil))
    }
}

/// A reply's bytes, if it has any.
pub(super) fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.into_bytes(),
        Value::Int(number) => number.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

/// A reply as a text.
pub(super) fn text(value: Value) -> String {
    String::from_utf8_lossy(&bytes(value)).into_owned()
}

/// A reply's parts.
pub(super) fn parts(value: Value) -> Vec<Value> {
    match value {
        Value::Array(parts) => parts,
        other => vec![other],
    }
}

/// A number; 0 if it is none.
pub(super) fn number(value: Value) -> u64 {
    text(value).parse().unwrap_or(0)
}
