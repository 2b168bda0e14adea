//! Standard output.

use std::io::{self, Write};

use crate::error::Error;

/// Writes to standard output, all of it and at once.
///
/// # Errors
///
/// [`Error::Output`] if that fails.
pub fn print(text: impl AsRef<[u8]>) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref()).and_then(|()| out.flush()).map_err(Error::Output)
}
