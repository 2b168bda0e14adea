//! How a server is to be.

use std::time::Duration;

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
    /// What holds for every client.
    pub limits: Limits,
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
