//! `limbeck init`: a commented recipe that runs as it is.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint};

/// The files of the starter. They are tested as a recipe, and so are what a new user gets.
const FILES: [(&str, &str); 5] = [
    ("recipe.toml", include_str!("../../starter/recipe.toml")),
    ("prompts.jsonl", include_str!("../../starter/prompts.jsonl")),
    (
        "examples.jsonl",
        include_str!("../../starter/examples.jsonl"),
    ),
    ("suite.jsonl", include_str!("../../starter/suite.jsonl")),
    ("README.md", include_str!("../../starter/README.md")),
];

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The folder holds something already, which might be somebody's work.
    #[error("the folder `{}` is not empty: it holds `{found}`", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// One of the names in it.
        found: String,
    },
    /// The file system refused.
    #[error("cannot write to `{}`", path.display())]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes the starter into `folder`, which is made if it is not there and must be empty, and tells `wrote` of each
/// file. Returns the files.
pub fn run(folder: &Path, mut wrote: impl FnMut(&Path)) -> Result<Vec<PathBuf>, InitError> {
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut entries = fs::read_dir(folder).map_err(failed(folder))?;
    if let Some(entry) = entries.next() {
        let entry = entry.map_err(failed(folder))?;
        return Err(InitError::NotEmpty {
            path: folder.to_owned(),
            found: entry.file_name().to_string_lossy().into_owned(),
        });
    }
    let mut paths = Vec::with_capacity(FILES.len());
    for (name, content) in FILES {
        let path = folder.join(name);
        // Not even a file that appeared a moment ago is written over.
        let file = fs::File::create_new(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(failed(&path))?;
        wrote(&path);
        paths.push(path);
    }
    Ok(paths)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> InitError {
    let path = path.to_owned();
    move |source| InitError::Write { path, source }
}

/// `limbeck init`: writes the starter and says how to go on.
pub fn command(folder: &Path, printer: &Printer) -> anyhow::Result<ExitStatus> {
    run(folder, |file| printer.done("Wrote", file.display()))
        .hint("name a new folder, or an empty one")?;
    let recipe = folder.join("recipe.toml");
    printer.status(format_args!("next: limbeck run {}", recipe.display()));
    Ok(ExitStatus::Success)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use tempfile::TempDir;

    use super::*;
    use crate::recipe::Recipe;
    use crate::table::{Items, Table, Template};

    #[test]
    fn what_is_written_is_a_recipe_without_mistakes() {
        let folder = TempDir::new().unwrap();
        let target = folder.path().join("deep/my-task");
        let mut told = Vec::new();
        let paths = run(&target, |path| told.push(path.to_owned())).unwrap();
        assert_eq!(paths, told);
        assert_eq!(paths.len(), fs::read_dir(&target).unwrap().count());
        let recipe = Recipe::load(&target.join("recipe.toml")).unwrap();
        let asking = recipe.asking().unwrap();
        let mut inputs = Vec::new();
        for (name, rows) in [("prompts.jsonl", 60), ("suite.jsonl", 24)] {
            let table = Table::read(&target.join(name), None, true).unwrap();
            asking.require(&table.columns).unwrap();
            let items =
                Items::of(table, None, |columns| asking.input(columns).map(Into::into)).unwrap();
            assert_eq!(items.items.len(), rows);
            inputs.extend(items.items);
        }
        let choices = recipe.harvest().unwrap().choices.clone().unwrap();
        let expected = Template::compile(&recipe.evaluations()[0].suite.expected).unwrap();
        for item in &inputs[60..] {
            assert!(choices.contains(&expected.render(&item.columns).unwrap()));
        }
        inputs.sort_by(|a, b| a.key.cmp(&b.key));
        inputs.dedup_by(|a, b| a.key == b.key);
        assert_eq!(inputs.len(), 84, "no message is there twice");
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("work.txt"), "mine").unwrap();
        let error = run(folder.path(), |_| panic!("wrote a file")).unwrap_err();
        assert!(error.to_string().contains("`work.txt`"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(run(&path, |_| ()), Err(InitError::Write { .. })));
    }
}
