//! How a server is to be.

use std::path::PathBuf;
use std::time::Duration;

/// How long a client may take nothing of what is on its way to it. Over TCP its system sees to that.
pub(crate) const UNCONFIRMED: Duration = Duration::from_secs(25);

/// Where clients are to come in.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    /// The port; 0 for any that is free, if there is to be TCP.
    pub port: u16,
    /// Names and addresses to listen on, every interface if there are none; `None` for no TCP at all.
    pub tcp: Option<Vec<String>>,
    /// How TLS is spoken over TCP, if it is.
    pub tls: Option<TlsConfig>,
    /// A Unix socket, if there is to be one.
    pub socket: Option<SocketConfig>,
}

impl Ways {
    /// Anybody may use any name over TCP.
    pub(crate) fn is_open(&self) -> bool {
        let is_bound = self.tls.as_ref().is_some_and(|tls| tls.client_issuers.is_some());
        self.tcp.is_some() && !is_bound
    }
}

/// Where certificates and keys are.
#[derive(Clone, Debug)]
pub(crate) struct TlsConfig {
    /// The server's certificate, with those of its issuers.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who issues certificates to clients, if these have to have one.
    pub client_issuers: Option<PathBuf>,
    /// What they have revoked.
    pub revocations: Option<PathBuf>,
    /// Whoever does not speak TLS is heard, too.
    pub allow_plain: bool,
}

/// How a Unix socket is to be.
#[derive(Clone, Debug)]
pub(crate) struct SocketConfig {
    /// The directory that it is in, under the name of the port.
    pub folder: PathBuf,
    /// Anybody may use any name, and not only that of the own account.
    pub any_name: bool,
}

/// How a server is to be.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Clients there may be; as many as there are descriptors for if `None`.
    pub max_clients: Option<usize>,
    /// Clients there may be from one address; no limit if `None`.
    pub max_per_address: Option<usize>,
    /// Threads that serve clients; if `None`, as many as there are processors, the last of several
    /// in reserve, and one for small rooms beside large ones.
    pub workers: Option<usize>,
    /// How long a stop may take.
    pub stop_timeout: Duration,
    /// What decides the order of what is said, and keeps it, if anything.
    pub log: Option<LogConfig>,
    /// What holds for every client.
    pub limits: Limits,
}

/// What decides the order of what is said, and keeps it.
#[derive(Clone, Debug)]
pub(crate) enum LogConfig {
    /// A file.
    History(HistoryConfig),
    /// Redis, which several servers may have together.
    Redis(RedisConfig),
}

/// How much is kept; everything, where nothing else is said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keep {
    /// Texts of each room.
    pub texts: Option<usize>,
    /// Days.
    pub days: Option<usize>,
}

/// How what is said is kept in a file.
#[derive(Clone, Debug)]
pub(crate) struct HistoryConfig {
    /// The file.
    pub path: PathBuf,
    /// How much of it.
    pub keep: Keep,
    /// What is answered survives the end of the whole system.
    pub synced: bool,
}

/// How what is said is kept in Redis.
#[derive(Clone)]
pub(crate) struct RedisConfig {
    /// Where it is; may have a password.
    pub url: String,
    /// Counts more than the one in there.
    pub password: Option<String>,
    /// All keys begin with that.
    pub prefix: String,
    /// It may be away so long before texts are refused.
    pub timeout: Duration,
    /// How much of what is said is kept.
    pub keep: Keep,
}

/// Without passwords.
impl std::fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RedisConfig { prefix, timeout, keep, .. } = self;
        let mut all = f.debug_struct("RedisConfig");
        all.field("prefix", prefix).field("timeout", timeout).field("keep", keep);
        all.finish_non_exhaustive()
    }
}

/// What holds for every client.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// How long a client may take to log in.
    pub login_timeout: Duration,
    /// Bytes that may be queued for a receiver before its room's senders have to wait.
    pub queue_limit: usize,
    /// Bytes that may be queued for all receivers together before each has but a share of them.
    pub total_queue_limit: usize,
    /// How long a receiver's queue may stay above `queue_limit`.
    pub stall_timeout: Duration,
}
