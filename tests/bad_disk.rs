//! Disks that are full or may not be written to: exit code 2, no half-written file under its final name, and the same
//! command goes on when there is room.

use std::fs;
use std::path::Path;

use crate::support::store::contents;
use crate::support::{Limbeck, Project, names, skip};

/// Everything that stands under a final name is whole: an outcome that parses, a student that loads.
fn nothing_is_half_written(project: &Project) {
    let stages = project.work("stages");
    for stage in names(&stages) {
        let outcome = stages.join(stage).join("outcome.json");
        if outcome.exists() {
            serde_json::from_slice::<serde_json::Value>(&fs::read(outcome).unwrap()).unwrap();
        }
    }
    for part in ["student", "export/tiny-Q8_0.gguf"] {
        if project.work(part).exists() {
            project
                .limbeck()
                .args(["chat"])
                .arg(project.work(part))
                .input("hello\n")
                .run()
                .succeeds();
        }
    }
}

/// The same run without a limit ends as it would have ended without one before.
fn goes_on(project: &Project) {
    project.stage("run").run().succeeds();
    let store = contents(&project.work("limbeck.db"));
    assert_eq!(store.traces.len(), 40 + 12, "prompts and suite");
    assert!(
        store.answered.values().all(|&times| times == 1),
        "something was asked again"
    );
}

/// A limit on the size of files acts like a disk that fills up while a file is written: the system refuses the next
/// byte. Each limit strikes somewhere else: the store, the checkpoint, the student, the page.
#[cfg(unix)]
#[test]
fn files_that_may_not_grow_leave_nothing_half_written() {
    for blocks in [1, 20, 60, 100, 150, 250] {
        let project = Project::choices(40);
        let script =
            format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" run recipe.toml --workdir work");
        let run = Limbeck::shell(project.path(), &script).run();
        run.fails_saying(["work"]);
        nothing_is_half_written(&project);
        goes_on(&project);
    }
}

/// A disk of a megabyte, mounted where no other process sees it; it goes away with the shell.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_everything_kept_is_found_again() {
    let project = Project::choices(40);
    let disk = project.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = "mount -t tmpfs -o size=200k none disk";
    let unshare =
        |script: &str| format!("exec unshare --mount --map-root-user sh -c '{script}' \"$0\"");
    if !Limbeck::shell(project.path(), &unshare(mount))
        .run()
        .status
        .success()
    {
        return skip("no disk can be mounted here");
    }
    let script = format!(
        "{mount}; for size in 200k 400k 600k 800k; do mount -o remount,size=$size disk; \
         \"$0\" run recipe.toml --workdir disk/work; echo ended $?; done; \
         mount -o remount,size=64m disk; \"$0\" run recipe.toml --workdir disk/work; echo ended $?; \
         cp -r disk/work work"
    );
    let run = Limbeck::shell(project.path(), &unshare(&script)).run();
    let ends: Vec<&str> = run
        .stdout
        .lines()
        .filter(|line| line.starts_with("ended"))
        .collect();
    assert!(
        ends.len() == 5 && ends[0] == "ended 2" && ends[4] == "ended 0",
        "{}\n{}",
        run.stdout,
        run.stderr
    );
    assert!(
        ends.iter().all(|end| ["ended 0", "ended 2"].contains(end)),
        "{ends:?}\n{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("full") || run.stderr.contains("No space left"),
        "{}",
        run.stderr
    );
    goes_on(&project);
}

/// Every write to this device fails as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    if !Path::new("/dev/full").exists() {
        return skip("there is no `/dev/full`");
    }
    let project = Project::choices(4);
    project.stage("harvest").run().succeeds();
    let script = "exec \"$0\" traces list --workdir work > /dev/full";
    Limbeck::shell(project.path(), script)
        .run()
        .fails_saying(["cannot write to standard output", "No space left"]);
}

/// A file where a folder must be made stops even the superuser, for whom no folder is read-only.
#[test]
fn a_place_that_cannot_be_written_is_named() {
    let project = Project::choices(4);
    project.file("file", "in the way");
    let run = project
        .limbeck()
        .args(["run", "recipe.toml", "--workdir", "file/work"])
        .run();
    run.fails_saying(["cannot write `file/work`"]);
    let run = project.limbeck().args(["init", "file"]).run();
    run.fails_saying(["cannot write to `file`", "hint: name a new folder"]);
    assert_eq!(
        fs::read_to_string(project.path().join("file")).unwrap(),
        "in the way"
    );
}

#[test]
fn a_folder_in_the_place_of_the_report_or_the_links_is_named_and_left() {
    for name in ["report.json", "student", "export"] {
        let project = Project::choices(8);
        fs::create_dir_all(project.work(name)).unwrap();
        fs::write(project.work(name).join("mine.txt"), "mine").unwrap();
        project
            .stage("run")
            .run()
            .fails_saying([&format!("work/{name}`")]);
        assert_eq!(
            fs::read_to_string(project.work(name).join("mine.txt")).unwrap(),
            "mine"
        );
    }
}
