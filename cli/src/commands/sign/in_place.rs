//! Signatures written into the text of a recipe, which stays as it is otherwise, comments and layout included.

use anyhow::Context;
use toml_edit::{DocumentMut, InlineTable, Item, Value};

use super::wanted::{List, Now, Wanted};

const KEY: &str = "signature";

/// The line to paste for something that is signed.
pub(super) fn line(wanted: &Wanted) -> String {
    format!("{KEY} = {}", table(wanted))
}

/// `text` with these signatures in it.
pub(super) fn with_signatures(text: &str, signed: &[&Wanted]) -> anyhow::Result<String> {
    let mut document: DocumentMut = text.parse().context("the recipe is no TOML")?;
    for wanted in signed {
        let place = place(&mut document, wanted.list, wanted.index);
        let place = place.with_context(|| {
            format!(
                "there is no `{}` number {}",
                wanted.list.join("."),
                wanted.index + 1
            )
        })?;
        match place {
            Place::Table(entry) => {
                entry.insert(KEY, Item::Value(Value::InlineTable(table(wanted))));
            }
            Place::Inline(entry) => {
                entry.insert(KEY, Value::InlineTable(table(wanted)));
            }
        }
    }
    let written = document.to_string();
    // The library ends lines in one way.
    let ends_as_windows = text.contains("\r\n") && !text.replace("\r\n", "").contains('\n');
    Ok(if ends_as_windows {
        written.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        written
    })
}

enum Place<'a> {
    Table(&'a mut toml_edit::Table),
    Inline(&'a mut InlineTable),
}

/// The table number `index` of a list, whichever way the list is written.
fn place(document: &mut DocumentMut, list: List, index: usize) -> Option<Place<'_>> {
    let mut item: &mut Item = document.as_item_mut();
    for key in list {
        item = item.get_mut(key)?;
    }
    match item {
        Item::ArrayOfTables(tables) => tables.get_mut(index).map(Place::Table),
        Item::Value(Value::Array(values)) => {
            let entry = values.get_mut(index)?;
            entry.as_inline_table_mut().map(Place::Inline)
        }
        _ => None,
    }
}

fn table(wanted: &Wanted) -> InlineTable {
    let mut table = InlineTable::new();
    if let Now::Signed(signature) = &wanted.now {
        table.insert("by", signature.by.as_str().into());
        table.insert("ed25519", signature.ed25519.as_str().into());
    }
    table
}
