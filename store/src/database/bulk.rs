//! Many rows with few statements: each is a walk to the database's own thread and back, which at thousands of rows a
//! second costs more than what it does there.

use sqlx::query_builder::{QueryBuilder, Separated};
use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};

/// Writes `rows` in their order: `into` is the statement up to its values, `then` what follows them, and `values` binds
/// those of one row. Returns the rows that the statements return.
///
/// With `RETURNING *` the ledger is told what the database made of what it was given, and need not look for it again.
pub(super) async fn insert<T>(
    connection: &mut SqliteConnection,
    into: &str,
    rows: &[T],
    then: &str,
    mut values: impl FnMut(Separated<'_, Sqlite, &'static str>, &T),
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let mut returned = Vec::new();
    for piece in pieces(rows) {
        let mut statement = QueryBuilder::new(into);
        statement.push_values(piece, &mut values);
        statement.push(" ").push(then);
        returned.extend(statement.build().fetch_all(&mut *connection).await?);
    }
    Ok(returned)
}

/// How many rows a statement may have, the most first. Few, so that `SQLite` keeps each of them prepared.
const LENGTHS: [usize; 5] = [256, 64, 16, 4, 1];

/// Cuts `rows` into pieces that have a statement of their length, in their order.
fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = LENGTHS.into_iter().find(|length| *length <= rows.len())?;
        let (piece, rest) = rows.split_at(length);
        rows = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn the_pieces_are_the_rows_in_their_order() {
        for count in [0, 1, 3, 4, 63, 64, 65, 255, 256, 1279] {
            let rows: Vec<usize> = (0..count).collect();
            let pieces: Vec<&[usize]> = pieces(&rows).collect();
            assert_eq!(pieces.concat(), rows);
            let lengths = |length| pieces.iter().filter(|piece| piece.len() == length).count();
            assert_eq!(lengths(256), count / 256);
            assert!(pieces.len() <= count / 256 + 12, "{count}");
        }
    }
}
