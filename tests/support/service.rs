//! A service of ours, which answers while a test runs the binary.

use serde_json::Value;
use tokio::runtime::Runtime;

use super::fault_server::{FaultServer, Seen, Step, answer, begun, end, event};
use super::{Limbeck, Project};

/// What must be found nowhere.
pub const KEY: &str = "sk-never-to-be-seen-0123456789";

/// A [`FaultServer`] on threads of its own.
pub struct Service {
    // Before the runtime, which must outlive it.
    server: FaultServer,
    _runtime: Runtime,
}

impl Service {
    /// Does with each request what `script` says.
    pub fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = runtime.block_on(FaultServer::start(script));
        Self {
            server,
            _runtime: runtime,
        }
    }

    /// The base of its addresses.
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.server.seen()
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.server.count()
    }

    /// A project of so many questions to it.
    pub fn project(&self, prompts: usize) -> Project {
        Project::service(&self.base_url(), prompts)
    }
}

/// `limbeck COMMAND` over the recipe of `project`, with the key of its service.
pub fn with_key(project: &Project, command: &str) -> Limbeck {
    project.stage(command).env("LIMBECK_TEST_KEY", KEY)
}

/// What [`good`] answers to a question.
pub fn answer_to(prompt: &str) -> String {
    prompt.replace("question", "answer")
}

/// The number of a `question N`.
pub fn number_of(prompt: &str) -> usize {
    let number = prompt.strip_prefix("question ").expect("a question");
    number.parse().expect("a number")
}

/// A good answer, in pieces if it is asked for so.
pub fn good(seen: &Seen) -> Vec<Step> {
    let text = answer_to(&seen.prompt);
    if seen.body["stream"] != Value::Bool(true) {
        return answer(&text);
    }
    let (one, other) = text.split_at(3);
    let events = [
        event(one, None),
        event(other, Some("stop")),
        "data: [DONE]\n\n".to_owned(),
    ];
    let mut steps = begun("text/event-stream", &events);
    steps.push(end());
    steps
}
