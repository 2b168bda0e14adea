//! How many descriptors the process may have, and has.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on descriptors to the hard one, if it can, and returns what it is then.
pub fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// Descriptors that are open now, or a guess where the system does not tell.
pub fn open_now() -> usize {
    std::fs::read_dir("/dev/fd").map_or(16, Iterator::count)
}
