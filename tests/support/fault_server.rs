//! A server that answers as its script says, and misbehaves on purpose: on plain sockets, since a proper HTTP server
//! would not let it.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When its last byte was there.
    pub at: Instant,
    /// The request line and the headers.
    pub head: String,
    /// The body; null where it is no JSON.
    pub body: Value,
    /// The body as it came.
    pub bytes: Vec<u8>,
    /// The text of the last turn.
    pub prompt: String,
    /// How many requests with this text came before.
    pub before: usize,
}

/// One thing that the server does with a connection.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends nothing for so long.
    Wait(Duration),
    /// Sends so many spaces.
    Spaces(usize),
    /// Ends the connection in order.
    Close,
    /// Ends it with a reset.
    Reset,
    /// Says nothing more and keeps the connection.
    Stall,
}

type Script = Arc<dyn Fn(&Seen) -> Vec<Step> + Send + Sync>;

/// A running server; it ends when it is dropped.
pub struct FaultServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl FaultServer {
    /// Listens on a free port of this machine and does with each request what `script` says.
    pub async fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::default();
        let (script, log): (Script, _) = (Arc::new(script), Arc::clone(&seen));
        let counts = Arc::default();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(
                    stream,
                    script.clone(),
                    Arc::clone(&log),
                    Arc::clone(&counts),
                ));
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    /// The base of its addresses.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics with it").clone()
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.seen.lock().expect("no test panics with it").len()
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Script,
    log: Arc<Mutex<Vec<Seen>>>,
    counts: Arc<Mutex<HashMap<String, usize>>>,
) {
    while let Some((head, body)) = read_request(&mut stream).await {
        let bytes = body;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let prompt = body["messages"]
            .as_array()
            .and_then(|turns| turns.last()?["content"].as_str())
            .or(body["prompt"].as_str())
            .unwrap_or_default()
            .to_owned();
        let seen = {
            let mut counts = counts.lock().expect("no test panics with it");
            let count = counts.entry(prompt.clone()).or_default();
            *count += 1;
            Seen {
                at: Instant::now(),
                head,
                body,
                bytes,
                prompt,
                before: *count - 1,
            }
        };
        log.lock()
            .expect("no test panics with it")
            .push(seen.clone());
        for step in script(&seen) {
            let done = match step {
                Step::Send(bytes) => stream.write_all(&bytes).await.is_err(),
                Step::Spaces(count) => {
                    let spaces = vec![b' '; 1 << 16];
                    let mut left = count;
                    while left > 0 {
                        let piece = left.min(spaces.len());
                        if stream.write_all(&spaces[..piece]).await.is_err() {
                            return;
                        }
                        left -= piece;
                    }
                    false
                }
                Step::Wait(time) => {
                    tokio::time::sleep(time).await;
                    false
                }
                Step::Close => true,
                Step::Reset => {
                    let _ = stream.set_zero_linger();
                    true
                }
                Step::Stall => {
                    // Until the client goes.
                    let mut nothing = [0; 1];
                    let _ = stream.read(&mut nothing).await;
                    true
                }
            };
            if done {
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    let end_of_head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let count = stream
            .read(&mut piece)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
    };
    let head = String::from_utf8_lossy(&bytes[..end_of_head]).into_owned();
    let length: usize = head
        .lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().ok())?
        })
        .unwrap_or(0);
    while bytes.len() < end_of_head + length {
        let count = stream
            .read(&mut piece)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
    }
    Some((head, bytes[end_of_head..end_of_head + length].to_vec()))
}

/// A whole response.
pub fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<Step> {
    let mut bytes = format!("HTTP/1.1 {status} Whatever\r\n").into_bytes();
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        bytes.extend_from_slice(b"content-type: application/json\r\n");
    }
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    vec![Step::Send(bytes)]
}

/// The body of an answer in the dialect of `OpenAI`.
pub fn answer_body(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "m-1",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    })
}

/// A good answer.
pub fn answer(text: &str) -> Vec<Step> {
    response(
        200,
        &[("x-request-id", "req-1")],
        answer_body(text).to_string().as_bytes(),
    )
}

/// The body of a failure in the dialect of `OpenAI`.
pub fn error(status: u16, headers: &[(&str, &str)], kind: &str) -> Vec<Step> {
    let body =
        json!({"error": {"message": format!("{kind} happened"), "type": kind, "code": kind}});
    response(status, headers, body.to_string().as_bytes())
}

/// The head of a response in chunks, and each of `pieces` as one; without the end.
pub fn begun(content_type: &str, pieces: &[String]) -> Vec<Step> {
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for piece in pieces {
        let _ = write!(bytes, "{:x}\r\n{piece}\r\n", piece.len());
    }
    vec![Step::Send(bytes)]
}

/// The end of a response in chunks.
pub fn end() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

/// One event of a stream in the dialect of `OpenAI`.
pub fn event(content: &str, finish: Option<&str>) -> String {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-1",
        "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}],
    });
    format!("data: {chunk}\n\n")
}
