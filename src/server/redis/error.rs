//! What keeps a server from using Redis.

use thiserror::Error;

/// What keeps a server from using Redis. Never tells a password.
#[derive(Debug, Error)]
pub(crate) enum RedisError {
    /// It is no address of a Redis.
    #[error(
        "--redis takes redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], the same with rediss:// for TLS, or unix:///PATH"
    )]
    Url,
    /// There is no Redis, or none that answers, or it refuses.
    #[error("cannot use Redis at {address}: {reason}")]
    Unusable {
        /// Where it should be.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// It is too old.
    #[error("Redis at {address} is version {version}: 7.0 or newer is needed")]
    TooOld {
        /// Where it is.
        address: String,
        /// What it is.
        version: String,
    },
    /// Other servers keep more or less.
    #[error(
        "the other servers of this chat keep {theirs}, this one would keep {ours}: give all the same \
         --keep-texts and --keep-days"
    )]
    Disagreement {
        /// What the others keep.
        theirs: String,
        /// What this one was told to keep.
        ours: String,
    },
}
