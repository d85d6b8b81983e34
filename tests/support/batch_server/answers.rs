//! What the service that takes batches does with a request, and what it says to it.

use serde_json::{Value, json};

use super::super::fault_server::{Seen, Step, error, response};
use super::results::line;
use super::{Batch, BatchServer, Dialect, Fate, File, LOOKS, Route, State, text};

impl BatchServer {
    pub(super) fn done(
        &self,
        state: &mut State,
        route: Route,
        path: &str,
        seen: &Seen,
    ) -> Vec<Step> {
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
                    return error(404, &[], "not_found_error");
                };
                state.files[index].looks += 1;
                self.file(state, index)
            }
            Route::Create => {
                let Some(batch) = self.batch(state, &seen.body) else {
                    return error(400, &[], "invalid_request_error");
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
                    return error(404, &[], "not_found_error");
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
                    return error(404, &[], "not_found_error");
                };
                let lines = self.results(state, index, route);
                let type_header = [("content-type", "application/octet-stream")];
                return response(200, &type_header, lines.concat().as_bytes());
            }
            Route::Other => return error(404, &[], "not_found_error"),
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
