//! A connection that reads, and is opened anew when it has failed: what was wrong may have been wrong
//! with the connection alone, or be over.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::HistoryError;
use super::store::connect_to_read;

/// A connection that reads.
#[derive(Debug)]
pub(super) struct View {
    path: PathBuf,
    connection: Connection,
}

impl View {
    /// A view of the history at `path`.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Database`] if it cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self, HistoryError> {
        let failed = |source| HistoryError::Database { path: path.to_owned(), source };
        let connection = connect_to_read(path).map_err(failed)?;
        Ok(View { path: path.to_owned(), connection })
    }

    /// Reads something, twice if it has to.
    ///
    /// # Errors
    ///
    /// What SQLite says the second time.
    pub(super) fn read<T>(
        &mut self,
        read: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        if let Ok(value) = read(&self.connection) {
            return Ok(value);
        }
        self.connection = connect_to_read(&self.path)?;
        read(&self.connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::history::store_tests::Scratch;

    #[test]
    fn what_cannot_be_read_is_tried_again_with_another_connection() {
        let scratch = Scratch::new("view");
        scratch.store();
        let mut view = View::open(&scratch.file()).unwrap();
        view.connection = Connection::open_in_memory().unwrap();
        let read =
            |it: &Connection| it.query_row("SELECT count(*) FROM rooms", [], |row| row.get(0));
        assert_eq!(view.read(read), Ok(0));
        assert_eq!(read(&view.connection), Ok(0), "it keeps the new one");
    }
}
