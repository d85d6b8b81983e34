//! The built binary, run to its end or for as long as a test needs it.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub const LIMBECK: &str = env!("CARGO_BIN_EXE_limbeck");

/// Nothing here takes nearly as long; a test that would hang fails instead.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A command line of `limbeck` in a folder.
pub struct Limbeck {
    command: Command,
    input: Vec<u8>,
}

impl Limbeck {
    /// `limbeck` in `folder`, untouched by the environment of whoever runs the tests. Downloads would go to `cache`.
    pub fn new(folder: &Path) -> Self {
        Self::through(LIMBECK, folder)
    }

    /// A shell that runs `script`, in which `"$0"` is the binary.
    pub fn shell(folder: &Path, script: &str) -> Self {
        Self::through("sh", folder).args(["-c", script, LIMBECK])
    }

    fn through(program: &str, folder: &Path) -> Self {
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .env("LIMBECK_CACHE_DIR", folder.join("cache"))
            .env("LIMBECK_CONFIG_DIR", folder.join("config"));
        for variable in [
            "LIMBECK_INSTRUCTION_SET",
            "LIMBECK_LEDGER_KEY",
            "LIMBECK_MODEL_KEY",
            "LIMBECK_REVIEWER_KEY",
            "LIMBECK_TRUSTED_REVIEWERS",
            "NO_COLOR",
            "CLICOLOR",
            "CLICOLOR_FORCE",
            "COLUMNS",
            "RUST_BACKTRACE",
        ] {
            command.env_remove(variable);
        }
        Self {
            command,
            input: Vec::new(),
        }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub fn args<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.command.args(arguments);
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// What standard input holds; nothing without this.
    pub fn input(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.input = text.into();
        self
    }

    /// The command itself, for what is set only once.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it to its end.
    pub fn run(self) -> Finished {
        self.spawn().wait()
    }

    /// Starts it.
    pub fn spawn(mut self) -> Running {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let called = format!("{:?}", self.command);
        let mut child = self.command.spawn().expect("the binary starts");
        let mut input = child.stdin.take().expect("a pipe");
        let text = self.input;
        // A process that does not read what it is given is no failure of the test.
        thread::spawn(move || drop(input.write_all(&text)));
        let mut output = child.stdout.take().expect("a pipe");
        let (sender, stdout) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            output.read_to_end(&mut bytes).expect("standard output");
            // Nobody waits for it where the process was killed.
            drop(sender.send(bytes));
        });
        let stderr = lines(child.stderr.take().expect("a pipe"));
        Running {
            called,
            child,
            stdout,
            stderr,
            seen: String::new(),
        }
    }
}

fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line.expect("standard error")).into_owned();
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A process that runs. Dropped, it is killed.
pub struct Running {
    called: String,
    child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<String>,
    seen: String,
}

impl Running {
    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the state of the process")
            .is_none()
    }

    /// Waits for a line of standard error that `wanted` accepts; `None` when the process ends without one.
    pub fn line(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.stderr.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                    if wanted(&line) {
                        return Some(line);
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!(
                        "`{}` did not say what it was waited for:\n{}",
                        self.called, self.seen
                    )
                }
            }
        }
    }

    /// Waits for the JSON event `event` of `stage`.
    pub fn event(&mut self, event: &str, stage: &str) -> Option<Value> {
        let wanted = |line: &str| {
            parsed(line).is_some_and(|line| line["event"] == event && line["stage"] == stage)
        };
        self.line(wanted).as_deref().and_then(parsed)
    }

    /// Kills it as `kill -9` does, and waits until it is gone. Whether it was still there to be killed.
    pub fn kill(mut self) -> bool {
        let alive = self.is_alive();
        self.child.kill().expect("the process is killed");
        self.child.wait().expect("the process ends");
        alive
    }

    /// Sends a signal by its name: `INT`, `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.id())])
            .status()
            .expect("a shell");
        assert!(
            status.success(),
            "SIG{name} was not sent to `{}`",
            self.called
        );
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Finished {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the state of the process") {
                break status;
            }
            if Instant::now() > until {
                let said: Vec<String> = self.stderr.try_iter().collect();
                panic!(
                    "`{}` does not end:\n{}{}",
                    self.called,
                    self.seen,
                    said.join("\n")
                );
            }
            thread::sleep(Duration::from_millis(2));
        };
        let stdout = self
            .stdout
            .recv_timeout(PATIENCE)
            .expect("standard output ends");
        for line in &self.stderr {
            self.seen.push_str(&line);
            self.seen.push('\n');
        }
        Finished {
            called: std::mem::take(&mut self.called),
            status,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: std::mem::take(&mut self.seen),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, as a rule.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A process that has ended, with what it wrote.
#[derive(Debug)]
pub struct Finished {
    called: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Checks the exit code, and that there was no panic.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "`{}` ended with {}\n--- stdout\n{}--- stderr\n{}",
            self.called,
            self.status,
            self.stdout,
            self.stderr
        );
        assert!(
            !self.stderr.contains("panicked at"),
            "a panic:\n{}",
            self.stderr
        );
        self
    }

    /// Checks that it ended well.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// Checks that it ended with an error (2) whose message on standard error holds each of `texts`.
    #[track_caller]
    pub fn fails_saying<const N: usize>(self, texts: [&str; N]) -> Self {
        let finished = self.exits(2);
        assert!(
            finished.stderr.contains("error: "),
            "no error:\n{}",
            finished.stderr
        );
        finished.says(texts)
    }

    /// Checks that standard error holds each of `texts`.
    #[track_caller]
    pub fn says<const N: usize>(self, texts: [&str; N]) -> Self {
        for text in texts {
            assert!(
                self.stderr.contains(text),
                "no `{text}` in:\n{}",
                self.stderr
            );
        }
        self
    }

    /// Checks that standard output holds each of `texts`.
    #[track_caller]
    pub fn prints<const N: usize>(self, texts: [&str; N]) -> Self {
        for text in texts {
            assert!(
                self.stdout.contains(text),
                "no `{text}` in:\n{}",
                self.stdout
            );
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("standard output is no JSON: {error}\n{}", self.stdout))
    }

    /// Standard output as JSON lines.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(expect_json).collect()
    }

    /// Standard error as JSON lines.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        self.stderr.lines().map(expect_json).collect()
    }
}

#[track_caller]
fn expect_json(line: &str) -> Value {
    parsed(line).unwrap_or_else(|| panic!("this line is no JSON: {line}"))
}

fn parsed(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

/// Looks again and again until `condition` holds.
#[track_caller]
pub fn wait_until(what: impl Debug, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain: {what:?}");
        thread::sleep(Duration::from_millis(5));
    }
}
