//! What a person sees and types: standard input, output and error, be they a terminal or not.
//!
//! Knows deliveries, and what may be done to a terminal. Must not know that there is a server.

pub mod color;
mod error;
pub mod format;
pub mod output;
pub mod prompt;
pub mod settings;
pub mod visible;

pub use error::TerminalError;
