//! Stores that cannot be used: exit code 2, and the file stays as it was.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::support::Project;
use crate::support::store::{Sql, answers};

/// A project that was harvested, and its store.
fn harvested() -> (Project, PathBuf) {
    let project = Project::choices(10);
    project.stage("harvest").run().succeeds();
    let store = project.work("limbeck.db");
    (project, store)
}

#[test]
fn a_store_that_another_process_writes_to_is_left_alone_and_can_be_read() {
    let (project, _) = harvested();
    let lock = File::options()
        .write(true)
        .open(project.work("limbeck.db.lock"))
        .unwrap();
    lock.lock().unwrap();
    for command in ["run", "harvest", "report"] {
        project.stage(command).run().fails_saying([
            "limbeck.db` is in use by another limbeck process",
            "hint: wait for the other command",
        ]);
    }
    let list = project
        .limbeck()
        .args(["traces", "list", "--workdir", "work", "--json"])
        .run()
        .succeeds();
    assert_eq!(list.json_lines().len(), 10);
    drop(lock);
    project.stage("harvest").run().succeeds();
}

#[test]
fn a_store_of_a_later_version_is_not_touched() {
    let (project, store) = harvested();
    let mut sql = Sql::open(&store);
    sql.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, X'00', 0)",
    );
    sql.close();
    let before = fs::read(&store).unwrap();
    let list = project
        .limbeck()
        .args(["traces", "list", "--workdir", "work"])
        .run();
    for run in [project.stage("run").run(), list] {
        run.fails_saying(["limbeck.db` has version 9999", "hint: update limbeck"]);
    }
    assert!(fs::read(&store).unwrap() == before, "the store was changed");
}

#[test]
fn a_file_that_is_no_store_is_not_written_over() {
    let contents: [(&[u8], &str); 2] = [
        (b"Dear diary, nothing happened today. ", "is not a database"),
        (b"\0\0\0\0", "is not a database"),
    ];
    for (content, says) in contents {
        let project = Project::choices(4);
        fs::create_dir(project.work("")).unwrap();
        let store = project.work("limbeck.db");
        fs::write(&store, content.repeat(200)).unwrap();
        for command in ["run", "report"] {
            project.stage(command).run().fails_saying([
                "limbeck.db`",
                says,
                "hint: move the file away",
            ]);
        }
        assert_eq!(fs::read(&store).unwrap(), content.repeat(200));
    }
}

#[test]
fn a_database_of_another_program_is_not_written_to() {
    let project = Project::choices(4);
    fs::create_dir(project.work("")).unwrap();
    let store = project.work("limbeck.db");
    File::create(&store).unwrap();
    let mut sql = Sql::open(&store);
    sql.execute("CREATE TABLE recipes (name TEXT)");
    sql.close();
    let before = fs::read(&store).unwrap();
    project
        .stage("run")
        .run()
        .fails_saying(["limbeck.db` is a database, but not one of limbeck"]);
    assert!(
        fs::read(&store).unwrap() == before,
        "the database was changed"
    );
}

#[test]
fn a_store_that_is_a_folder_is_named() {
    let project = Project::choices(4);
    fs::create_dir_all(project.work("limbeck.db")).unwrap();
    project.stage("run").run().fails_saying(["limbeck.db`"]);
}

#[test]
fn a_store_with_a_damaged_page_is_refused() {
    let (project, store) = harvested();
    // What the write-ahead log still holds would be read from there.
    let mut database = Sql::open(&store);
    assert_eq!(database.number("PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    database.close();
    let mut bytes = fs::read(&store).unwrap();
    let length = bytes.len();
    bytes[4096..length].fill(0x5a);
    fs::write(&store, bytes).unwrap();
    project
        .stage("curate")
        .run()
        .fails_saying(["limbeck.db` is damaged"]);
}

#[test]
fn a_work_folder_that_is_a_file_is_named() {
    let project = Project::choices(4);
    project.file("work", "not a folder");
    project.stage("run").run().fails_saying(["`work`"]);
    assert_eq!(
        fs::read_to_string(project.path().join("work")).unwrap(),
        "not a folder"
    );
}

#[test]
fn no_store_is_an_error_with_advice_and_makes_none() {
    let project = Project::choices(4);
    let list = project
        .limbeck()
        .args(["traces", "list", "--workdir", "work"])
        .run();
    list.fails_saying([
        "there is no store at `work/limbeck.db`",
        "hint: run a recipe first",
    ]);
    assert!(!project.work("").exists());
}

#[test]
fn an_outcome_that_is_no_outcome_is_done_again() {
    let project = Project::choices(12);
    project.stage("run").run().succeeds();
    let store = project.work("limbeck.db");
    let (stages, kept) = (project.stages(), answers(&store));
    for stage in &stages {
        fs::write(
            project.work("stages").join(stage).join("outcome.json"),
            "{\"half\": ",
        )
        .unwrap();
    }
    let student = fs::read(project.work("student/model.safetensors")).unwrap();
    project.stage("run").run().succeeds();
    assert_eq!((project.stages(), answers(&store)), (stages, kept));
    assert_eq!(
        project.report()["harvest"]["asked"],
        0,
        "the answers were in the store"
    );
    assert!(fs::read(project.work("student/model.safetensors")).unwrap() == student);
}
