//! Results, a line at a time: there may be hundreds of megabytes of them.

use reqwest::Response;

use super::call::Service;
use crate::api::client::{MOST_BYTES, too_large};
use crate::wire::Failure;

/// One line.
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    /// It is the last one and has no end, so it may not be whole.
    pub(super) is_cut: bool,
}

/// The lines of a response that is read as they are asked for.
pub(super) struct Lines<'a> {
    service: Service<'a>,
    /// `None` once it is read to its end.
    response: Option<Response>,
    /// What was read and not given out, from `begin` on.
    read: Vec<u8>,
    begin: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(service: Service<'a>, response: Response) -> Self {
        Self {
            service,
            response: Some(response),
            read: Vec::new(),
            begin: 0,
        }
    }

    /// The next line that is not empty; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, Failure> {
        loop {
            let Some(line) = self.any().await? else {
                return Ok(None);
            };
            if !line.bytes.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    async fn any(&mut self) -> Result<Option<Line>, Failure> {
        let mut looked_at = self.begin;
        loop {
            let end = self.read[looked_at..]
                .iter()
                .position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let end = looked_at + end;
                let bytes = self.read[self.begin..end].to_vec();
                self.begin = end + 1;
                return Ok(Some(Line {
                    bytes,
                    is_cut: false,
                }));
            }
            self.read.drain(..self.begin);
            self.begin = 0;
            looked_at = self.read.len();
            if looked_at > MOST_BYTES {
                return Err(too_large(MOST_BYTES));
            }
            let Some(response) = &mut self.response else {
                let bytes = std::mem::take(&mut self.read);
                return Ok((!bytes.is_empty()).then_some(Line {
                    bytes,
                    is_cut: true,
                }));
            };
            match self.service.piece(response).await? {
                Some(piece) => self.read.extend_from_slice(&piece),
                None => self.response = None,
            }
        }
    }
}
