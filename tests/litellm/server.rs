//! A service that answers every request after the same time, and does nothing else: what is measured against it is the
//! client. It prints the base of its addresses and serves until its standard input ends. A thread for each connection
//! and the standard library alone, so that `rustc -O` builds it in a second.
//!
//!     server MILLISECONDS

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// A body as OpenAI writes it, in its usual length.
const BODY: &str = r#"{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion","created":1741569952,"model":"m-2025","choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I assist you today?","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_44709d6fcb"}"#;

/// What one connection needs is little.
const STACK: usize = 128 << 10;

fn main() -> io::Result<()> {
    let wait = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let wait =
        Duration::from_millis(wait.ok_or_else(|| io::Error::other("usage: server MILLISECONDS"))?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}/v1", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = thread::Builder::new().stack_size(STACK);
            // A client that goes is no matter.
            if let Err(error) = connection.spawn(move || drop(serve(stream, wait))) {
                eprintln!("no thread for a connection: {error}");
            }
        }
    });
    // Until whoever started it goes.
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}

/// Answers the requests of one connection, one after another.
fn serve(mut stream: TcpStream, wait: Duration) -> io::Result<()> {
    let response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_1\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    stream.set_nodelay(true)?;
    let (mut read, mut piece) = (Vec::new(), [0; 16 << 10]);
    loop {
        while let Some(end) = end_of_request(&read) {
            read.drain(..end);
            thread::sleep(wait);
            stream.write_all(response.as_bytes())?;
        }
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        read.extend_from_slice(&piece[..count]);
    }
}

/// Where the first request in `bytes` ends, once all of it is there.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let lines = bytes[..head].split(|byte| *byte == b'\n');
    let length = lines.filter_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head + length.last().unwrap_or(0);
    (bytes.len() >= end).then_some(end)
}
