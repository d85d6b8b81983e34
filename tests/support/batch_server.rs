//! A service that takes batches, in the dialect of `OpenAI` or of Anthropic; what it does wrong is up to a test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::batch_results::line;
use super::fault_server::{Seen, Step, response};

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

    fn done(&self, state: &mut State, route: Route, path: &str, seen: &Seen) -> Vec<Step> {
        let number = |path: &str| -> Option<usize> {
            let digits: String = path.chars().filter(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        let value = match route {
            Route::Upload => {
                state.files.push(File {
                    bytes: file_of(&seen.bytes),
                    looks: 0,
                });
                self.file(state, state.files.len() - 1)
            }
            Route::File => {
                let index = number(path).filter(|index| *index < state.files.len());
                let Some(index) = index else {
                    return super::fault_server::error(404, &[], "not_found_error");
                };
                state.files[index].looks += 1;
                self.file(state, index)
            }
            Route::Create => {
                let Some(batch) = self.batch(state, &seen.body) else {
                    return super::fault_server::error(400, &[], "invalid_request_error");
                };
                state.batches.push(batch);
                self.account(state, state.batches.len() - 1)
            }
            Route::List => {
                // Work goes on whether or not a batch is asked for by its name.
                for batch in &mut state.batches {
                    batch.polled += 1;
                    batch.lists += 1;
                }
                self.list(state, &seen.head)
            }
            Route::Poll | Route::Cancel => {
                let index = number(path).filter(|index| *index < state.batches.len());
                let Some(index) = index else {
                    return super::fault_server::error(404, &[], "not_found_error");
                };
                if route == Route::Cancel {
                    state.batches[index].cancelled = true;
                } else {
                    state.batches[index].polled += 1;
                }
                self.account(state, index)
            }
            Route::Results | Route::Errors => {
                let Some(index) = number(path).filter(|index| *index < state.batches.len()) else {
                    return super::fault_server::error(404, &[], "not_found_error");
                };
                let lines = self.results(state, index, route);
                let type_header = [("content-type", "application/octet-stream")];
                return response(200, &type_header, lines.concat().as_bytes());
            }
            Route::Other => return super::fault_server::error(404, &[], "not_found_error"),
        };
        response(200, &[], value.to_string().as_bytes())
    }

    fn file(&self, state: &State, index: usize) -> Value {
        let mut file = json!({"id": format!("file-{index}"), "object": "file"});
        if self.dialect == Dialect::Azure {
            let read = state.files[index].looks >= LOOKS;
            file["status"] = json!(match (read, state.unusable) {
                (false, _) => "pending",
                (true, false) => "processed",
                (true, true) => "error",
            });
        }
        file
    }

    /// A page of the batches that are listed, the newest first.
    fn list(&self, state: &State, head: &str) -> Value {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let query = target.split(['?', '&']).skip(1);
        let after = query
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| matches!(*name, "after" | "after_id"));
        let after: Option<usize> = after.and_then(|(_, id)| id.rsplit_once('_')?.1.parse().ok());
        let listed = (0..after.unwrap_or(state.batches.len()))
            .rev()
            .filter(|index| state.batches[*index].lists > state.unlisted);
        let listed: Vec<usize> = listed.collect();
        let page = &listed[..listed.len().min(state.page)];
        let page: Vec<Value> = page
            .iter()
            .map(|index| self.account(state, *index))
            .collect();
        json!({"has_more": listed.len() > page.len(), "data": page})
    }

    fn batch(&self, state: &State, told: &Value) -> Option<Batch> {
        let requests = match self.dialect {
            Dialect::OpenAi | Dialect::Azure => {
                let file = told["input_file_id"].as_str()?.strip_prefix("file-")?;
                let file = state.files.get(file.parse::<usize>().ok()?)?;
                let is_read = self.dialect == Dialect::OpenAi || file.looks >= LOOKS;
                let lines = std::str::from_utf8(&file.bytes).ok().filter(|_| is_read)?;
                let lines = lines.lines();
                let endpoint = told["endpoint"].as_str()?;
                let root = match self.dialect {
                    Dialect::Azure => "/v1",
                    _ => "",
                };
                let parse = |line: &str| -> Option<(String, Value)> {
                    let line: Value = serde_json::from_str(line).ok()?;
                    let same =
                        line["url"] == format!("{root}{endpoint}") && line["method"] == "POST";
                    same.then(|| {
                        Some((line["custom_id"].as_str()?.to_owned(), line["body"].clone()))
                    })?
                };
                lines.map(parse).collect::<Option<_>>()?
            }
            Dialect::Anthropic => {
                let requests = told["requests"].as_array()?.iter();
                let parse = |request: &Value| -> Option<(String, Value)> {
                    let id = request["custom_id"].as_str().filter(|id| id.len() <= 64)?;
                    Some((id.to_owned(), request["params"].clone()))
                };
                requests.map(parse).collect::<Option<_>>()?
            }
        };
        Some(Batch {
            marker: told["metadata"].clone(),
            endpoint: told["endpoint"].clone(),
            requests,
            polled: 0,
            lists: 0,
            cancelled: false,
            crowded: state
                .batches
                .iter()
                .filter(|batch| batch.is_open(state))
                .count()
                >= state.most,
        })
    }

    fn account(&self, state: &State, index: usize) -> Value {
        let batch = &state.batches[index];
        let ended = !batch.is_open(state);
        let total = batch.requests.len();
        let now = jiff::Timestamp::now();
        if self.dialect == Dialect::Anthropic {
            let status = if ended { "ended" } else { "in_progress" };
            let done = if ended { total } else { 0 };
            return json!({
                "id": format!("msgbatch_{index}"), "type": "message_batch", "processing_status": status,
                "created_at": now.to_string(),
                "request_counts": {"processing": total - done, "succeeded": done, "errored": 0, "canceled": 0,
                                   "expired": 0},
                "results_url": "http://127.0.0.1:9/elsewhere",
            });
        }
        let status = match (batch.cancelled, ended) {
            _ if batch.crowded => "failed",
            (true, _) => "cancelled",
            (_, true) => state.end,
            _ => "in_progress",
        };
        let failed = status == "failed";
        let code = if batch.crowded {
            "token_limit_exceeded"
        } else {
            "invalid_json_line"
        };
        let mut account = json!({
            "id": format!("batch_{index}"), "object": "batch", "status": status, "endpoint": batch.endpoint,
            "created_at": now.as_second(), "metadata": batch.marker,
            "request_counts": {"total": total, "completed": if ended { total } else { 0 }, "failed": 0},
            "output_file_id": (ended && !failed).then(|| format!("output-{index}")),
            "error_file_id": (ended && !failed).then(|| format!("error-{index}")),
            "errors": failed.then(|| json!({"data": [{"code": code, "message": "it is broken"}]})),
        });
        if self.dialect == Dialect::Azure {
            let (first, rest) = status.split_at(1);
            account["status"] = json!(format!("{}{rest}", first.to_uppercase()));
            account["created_at"] = json!(now.to_string());
            account["metadata"] = Value::Null;
            if !ended {
                account["request_counts"] =
                    json!({"total": null, "completed": null, "failed": null});
            }
        }
        account
    }

    fn results(&self, state: &State, index: usize, route: Route) -> Vec<String> {
        let batch = &state.batches[index];
        let mut lines = Vec::new();
        for (id, body) in &batch.requests {
            let text = text(body);
            let fate = match (state.fates)(&text) {
                Fate::Answered if batch.cancelled => Fate::Cancelled,
                fate => fate,
            };
            let is_error = matches!(fate, Fate::Expired | Fate::Cancelled | Fate::RateLimited);
            if self.dialect != Dialect::Anthropic && is_error != (route == Route::Errors) {
                continue;
            }
            let line = line(self.dialect, id, &text, fate);
            lines.extend(line.map(|line| format!("{line}\n")));
        }
        (state.lines)(lines)
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

/// The file in a form.
fn file_of(form: &[u8]) -> Vec<u8> {
    let form = String::from_utf8_lossy(form);
    let boundary = form.lines().next().unwrap_or_default().to_owned();
    let parts = form.split(boundary.as_str());
    let file = parts
        .filter(|part| part.contains("filename="))
        .filter_map(|part| part.split_once("\r\n\r\n"))
        .map(|(_, file)| file.trim_end().as_bytes().to_vec())
        .next();
    file.unwrap_or_default()
}
