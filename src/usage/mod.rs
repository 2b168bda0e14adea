//! How a command is called, and how that is told: arguments, help texts, manual pages, completions.
//!
//! Knows what `argh` knows of a command line. Must not know which commands there are.

pub(crate) mod call;
pub(crate) mod completion;
pub(crate) mod help;
pub(crate) mod man;
pub(crate) mod values;
mod words;
