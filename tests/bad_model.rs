//! Model files that are cut off or lie: exit code 2, and no more memory than they are worth.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::teacher::tiny_teacher;
use crate::support::{Finished, Limbeck, Project};

/// Memory that the process may have. A file that talks it into more ends it with a signal instead of a code.
const KILOBYTES: u32 = 4 << 20;

/// `limbeck` with `arguments`, with little memory.
fn bounded(project: &Project, arguments: &str) -> Finished {
    let script = format!("ulimit -v {KILOBYTES}; exec \"$0\" {arguments}");
    Limbeck::shell(project.path(), &script).run()
}

/// A project whose teacher is a file of these bytes.
fn with_model(bytes: &[u8]) -> (Project, PathBuf) {
    let project = Project::choices(4);
    let path = project.path().join("model.gguf");
    fs::write(&path, bytes).unwrap();
    project.teacher(Path::new("model.gguf"));
    (project, path)
}

/// Every command that reads a model refuses this one by name, and leaves nothing.
#[track_caller]
fn is_refused(bytes: &[u8]) -> Finished {
    let (project, _) = with_model(bytes);
    bounded(&project, "chat model.gguf").fails_saying(["model.gguf"]);
    bounded(&project, "bench decode model.gguf").fails_saying(["model.gguf"]);
    let run = bounded(&project, "run recipe.toml --workdir work").fails_saying(["model.gguf"]);
    assert!(!project.work("report.json").exists() && !project.work("student").exists());
    run
}

#[test]
fn a_file_that_was_cut_off_is_refused_wherever_the_cut_is() {
    let whole = fs::read(tiny_teacher()).unwrap();
    for length in [
        0,
        3,
        4,
        20,
        24,
        100,
        5000,
        whole.len() / 2,
        whole.len() - 40,
    ] {
        is_refused(&whole[..length]);
    }
}

#[test]
fn a_file_of_another_kind_is_refused() {
    is_refused(b"{\"this\": \"is json\"}");
    is_refused(&[0; 4096]);
    let mut newer = fs::read(tiny_teacher()).unwrap();
    newer[4..8].copy_from_slice(&99_u32.to_le_bytes());
    is_refused(&newer).says(["99"]);
}

/// The beginning of a GGUF file: magic, version, number of tensors, number of metadata entries.
fn header(tensors: u64, entries: u64) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

#[test]
fn counts_that_would_take_all_memory_are_refused() {
    for count in [1 << 20, 1 << 40, u64::MAX / 8 + 1, u64::MAX] {
        is_refused(&header(count, 0));
        is_refused(&header(0, count));
        is_refused(&header(count, count));
        // A text of that length, and lists of that length of numbers, of texts and of lists.
        let mut long_key = header(0, 1);
        long_key.extend(count.to_le_bytes());
        is_refused(&long_key);
        for element in [0_u32, 6, 8, 9, 12] {
            let mut list = header(0, 1);
            text(&mut list, "tokenizer.ggml.tokens");
            list.extend(9_u32.to_le_bytes());
            list.extend(element.to_le_bytes());
            list.extend(count.to_le_bytes());
            list.extend([0; 64]);
            is_refused(&list);
        }
    }
}

#[test]
fn shapes_and_places_that_overflow_are_refused() {
    let whole = fs::read(tiny_teacher()).unwrap();
    let name = b"token_embd.weight";
    let at = whole
        .windows(name.len())
        .position(|window| window == name)
        .unwrap()
        + name.len();
    // Two dimensions follow, then the kind and the place.
    for (offset, value) in [
        (at + 4, u64::MAX),
        (at + 4, 1 << 33),
        (at + 12, u64::MAX / 2),
        (at + 24, u64::MAX),
        (at + 24, u64::MAX - 31),
        (at + 24, 1 << 50),
    ] {
        let mut lying = whole.clone();
        lying[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        is_refused(&lying);
    }
    let mut dimensions = whole.clone();
    dimensions[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    is_refused(&dimensions);
}

#[test]
fn sizes_in_the_metadata_are_not_believed() {
    let whole = fs::read(tiny_teacher()).unwrap();
    for key in [
        "llama.context_length",
        "llama.feed_forward_length",
        "llama.embedding_length",
        "llama.block_count",
        "llama.attention.head_count",
    ] {
        let at = whole
            .windows(key.len())
            .position(|window| window == key.as_bytes())
            .unwrap()
            + key.len();
        let mut lying = whole.clone();
        lying[at + 4..at + 8].copy_from_slice(&u32::MAX.to_le_bytes());
        is_refused(&lying);
    }
}

#[test]
fn a_folder_that_is_no_model_is_refused_with_what_is_expected() {
    let project = Project::choices(4);
    fs::create_dir(project.path().join("empty")).unwrap();
    for (model, says) in [
        ("empty", "`empty`"),
        ("nowhere", "`nowhere`"),
        ("prompts.jsonl", "`prompts.jsonl`"),
    ] {
        let chat = project.limbeck().args(["chat", model]).run();
        chat.fails_saying([
            says,
            "hint: MODEL is a `.gguf` file, or a folder with `config.json`",
        ]);
    }
}

#[test]
fn a_student_with_a_broken_part_is_refused() {
    let project = Project::choices(20);
    project.stage("train").run().succeeds();
    let student = fs::canonicalize(project.work("student")).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let whole = fs::read(student.join(file)).unwrap();
        for bytes in [&whole[..whole.len() / 2], b"{}", b"", &[0xff; 64]] {
            fs::write(student.join(file), bytes).unwrap();
            bounded(&project, "chat work/student").fails_saying([file]);
        }
        fs::write(student.join(file), &whole).unwrap();
    }
    project
        .limbeck()
        .args(["chat", "work/student"])
        .input("hello\n")
        .run()
        .succeeds();
}
