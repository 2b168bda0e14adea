//! Where the files of the server look for names and positions.

#[path = "../../src/wire/position.rs"]
pub mod position;
#[path = "../../src/wire/protocol.rs"]
pub(crate) mod protocol;
