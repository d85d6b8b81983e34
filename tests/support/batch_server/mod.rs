//! A service that takes batches, in the dialect of `OpenAI`, of Azure or of Anthropic; what it does wrong is up to a
//! test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use super::fault_server::{Seen, Step};

mod answers;
mod results;

/// Which service it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    OpenAi,
    /// `OpenAI`'s, in the words of Azure: a file is read for a while before a batch can be made of it, and a batch tells
    /// no marker, counts its requests late, and has capital letters in its state and a date.
    Azure,
    Anthropic,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    Upload,
    /// How far it is with a file.
    File,
    Create,
    List,
    Poll,
    /// The results; of `OpenAI` those that are answers.
    Results,
    /// The results of `OpenAI` that are none.
    Errors,
    Cancel,
    Other,
}

/// What becomes of a request in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// With an overlong wait for its turn.
    RateLimited,
    Refused,
    Expired,
    Cancelled,
    /// No line speaks of it.
    Unsaid,
}

/// What goes wrong with a request to the service.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This is done instead of what was asked.
    Instead(Vec<Step>),
    /// What was asked is done, and this is what comes back.
    After(Vec<Step>),
}

type Fates = Box<dyn Fn(&str) -> Fate + Send + Sync>;
type Faults = Box<dyn Fn(Route, usize) -> Option<Fault> + Send + Sync>;
type Lines = Box<dyn Fn(Vec<String>) -> Vec<String> + Send + Sync>;

/// The service. Clones are the same one.
#[derive(Clone)]
pub struct BatchServer {
    dialect: Dialect,
    state: Arc<Mutex<State>>,
}

struct State {
    files: Vec<File>,
    batches: Vec<Batch>,
    /// How often each route was asked.
    counts: BTreeMap<String, usize>,
    /// How often a batch is asked for before it has ended.
    polls: usize,
    /// How a batch of `OpenAI` ends.
    end: &'static str,
    /// How many batches it works on at a time; it rejects what is more.
    most: usize,
    /// Whether Azure cannot use what it is given.
    unusable: bool,
    /// How often its list is asked for before it shows a batch.
    unlisted: usize,
    /// How many batches a page of its list holds.
    page: usize,
    fates: Fates,
    faults: Faults,
    lines: Lines,
}

struct File {
    bytes: Vec<u8>,
    /// How often it was asked for.
    looks: usize,
}

/// How often a file is asked for at Azure before it has been read.
const LOOKS: usize = 2;

struct Batch {
    marker: Value,
    endpoint: Value,
    /// The name of each request and what it asks.
    requests: Vec<(String, Value)>,
    polled: usize,
    /// How often the list was asked for since it was made.
    lists: usize,
    cancelled: bool,
    /// There were too many others.
    crowded: bool,
}

impl BatchServer {
    /// Every batch has ended when it is asked for first, with all answered.
    pub fn new(dialect: Dialect) -> Self {
        let state = State {
            files: Vec::new(),
            batches: Vec::new(),
            counts: BTreeMap::new(),
            polls: 0,
            end: "completed",
            most: usize::MAX,
            unusable: false,
            unlisted: 0,
            page: 100,
            fates: Box::new(|_| Fate::Answered),
            faults: Box::new(|_, _| None),
            lines: Box::new(|lines| lines),
        };
        Self {
            dialect,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What becomes of requests, by the text asked.
    pub fn fates(&self, fates: impl Fn(&str) -> Fate + Send + Sync + 'static) -> &Self {
        self.state().fates = Box::new(fates);
        self
    }

    /// What goes wrong with the n-th request to a route, from 0.
    pub fn faults(
        &self,
        faults: impl Fn(Route, usize) -> Option<Fault> + Send + Sync + 'static,
    ) -> &Self {
        self.state().faults = Box::new(faults);
        self
    }

    /// What becomes of the lines of the results.
    pub fn lines(
        &self,
        lines: impl Fn(Vec<String>) -> Vec<String> + Send + Sync + 'static,
    ) -> &Self {
        self.state().lines = Box::new(lines);
        self
    }

    /// How often a batch is asked for before it has ended.
    pub fn polls(&self, polls: usize) -> &Self {
        self.state().polls = polls;
        self
    }

    /// How a batch of `OpenAI` ends, in its words.
    pub fn ends(&self, end: &'static str) -> &Self {
        self.state().end = end;
        self
    }

    /// How many batches it works on at a time; it rejects what is more.
    pub fn most(&self, most: usize) -> &Self {
        self.state().most = most;
        self
    }

    /// No file can be used, as Azure says of it.
    pub fn unusable(&self) -> &Self {
        self.state().unusable = true;
        self
    }

    /// How often its list is asked for before it shows a batch.
    pub fn unlisted(&self, lists: usize) -> &Self {
        self.state().unlisted = lists;
        self
    }

    /// How many batches a page of its list holds.
    pub fn page(&self, batches: usize) -> &Self {
        self.state().page = batches;
        self
    }

    /// How often each text was taken in a batch that was worked on.
    pub fn taken(&self) -> BTreeMap<String, usize> {
        let mut taken = BTreeMap::new();
        for batch in self.state().batches.iter().filter(|batch| !batch.crowded) {
            for (_, body) in &batch.requests {
                *taken.entry(text(body)).or_default() += 1;
            }
        }
        taken
    }

    /// How many requests each batch holds.
    pub fn sizes(&self) -> Vec<usize> {
        let state = self.state();
        state
            .batches
            .iter()
            .map(|batch| batch.requests.len())
            .collect()
    }

    /// How often a route was asked.
    pub fn count(&self, route: Route) -> usize {
        let state = self.state();
        state
            .counts
            .get(&format!("{route:?}"))
            .copied()
            .unwrap_or(0)
    }

    /// What the service does with a request.
    pub fn handle(&self, seen: &Seen) -> Vec<Step> {
        let target = seen.head.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let path = match self.dialect {
            // Nothing is at any other address there.
            Dialect::Azure => path.strip_prefix("/openai/v1").unwrap_or_default(),
            _ => path.strip_prefix("/v1").unwrap_or(path),
        };
        let posts = seen.head.starts_with("POST");
        let route = self.route(path, posts);
        let mut state = self.state();
        let count = state.counts.entry(format!("{route:?}")).or_default();
        let before = *count;
        *count += 1;
        match (state.faults)(route, before) {
            None => self.done(&mut state, route, path, seen),
            Some(Fault::Instead(steps)) => steps,
            Some(Fault::After(steps)) => {
                self.done(&mut state, route, path, seen);
                steps
            }
        }
    }

    fn route(&self, path: &str, posts: bool) -> Route {
        let rest = match self.dialect {
            Dialect::OpenAi | Dialect::Azure => path.strip_prefix("/batches"),
            Dialect::Anthropic => path.strip_prefix("/messages/batches"),
        };
        let is_error_file = path.starts_with("/files/error-");
        match (rest, posts) {
            (Some(""), true) => Route::Create,
            (Some(""), false) => Route::List,
            (Some(rest), true) if rest.ends_with("/cancel") => Route::Cancel,
            (Some(rest), false) if rest.ends_with("/results") => Route::Results,
            (Some(_), false) => Route::Poll,
            (None, true) if path == "/files" => Route::Upload,
            (None, false) if is_error_file => Route::Errors,
            (None, false) if path.ends_with("/content") => Route::Results,
            (None, false) if path.starts_with("/files/") => Route::File,
            _ => Route::Other,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }
}

impl Batch {
    fn is_open(&self, state: &State) -> bool {
        !(self.cancelled || self.crowded || self.polled > state.polls)
    }
}

fn text(body: &Value) -> String {
    let turns = body["messages"].as_array();
    let last = turns.and_then(|turns| turns.last()?["content"].as_str());
    last.unwrap_or_default().to_owned()
}
