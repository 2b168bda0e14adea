//! Where the files of the server look for names.

#[path = "../../src/wire/protocol.rs"]
pub(crate) mod protocol;
