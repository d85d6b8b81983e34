//! Server-sent events, read as their bytes come.
//!
//! As the WHATWG's HTML standard has them (section 9.2, "Server-sent events"), with two liberties: an event that the
//! end of the stream cuts short is still given out, and a line that is bare JSON counts as data, because some servers
//! put their errors so.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Its name; empty for the nameless ones, which are the rule.
    pub(super) name: String,
    /// Its data, several lines joined by line feeds.
    pub(super) data: Vec<u8>,
}

/// Reads events from bytes in any pieces.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The last byte was a carriage return, so that a line feed now belongs to it.
    after_return: bool,
    /// A line has been read, so that a byte order mark would be no mark any more.
    begun: bool,
    name: Vec<u8>,
    data: Option<Vec<u8>>,
}

impl Events {
    /// Takes the next bytes in and adds the events that they complete to `out`.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<Event>) {
        if self.after_return && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
            self.after_return = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.after_return = false;
            self.line.extend_from_slice(&bytes[..end]);
            self.end_line(out);
            let ended_by = bytes[end];
            bytes = &bytes[end + 1..];
            if ended_by == b'\r' {
                if bytes.is_empty() {
                    self.after_return = true;
                } else if bytes[0] == b'\n' {
                    bytes = &bytes[1..];
                }
            }
        }
        if !bytes.is_empty() {
            self.after_return = false;
            self.line.extend_from_slice(bytes);
        }
    }

    /// The stream has ended: what it leaves unfinished.
    pub(super) fn finish(mut self) -> Option<Event> {
        let mut out = Vec::new();
        self.end_line(&mut out);
        self.end_event(&mut out);
        out.pop()
    }

    fn end_line(&mut self, out: &mut Vec<Event>) {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !self.begun {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            self.begun = true;
        }
        if line.is_empty() {
            return self.end_event(out);
        }
        if line.first() == Some(&b'{') {
            return self.add_data(line);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => self.add_data(value),
            b"event" => self.name = value.to_vec(),
            // Comments keep the connection alive; ids and retry times are for resuming, which no teacher offers.
            _ => {}
        }
    }

    fn add_data(&mut self, line: &[u8]) {
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(line);
            }
            None => self.data = Some(line.to_vec()),
        }
    }

    fn end_event(&mut self, out: &mut Vec<Event>) {
        let name = std::mem::take(&mut self.name);
        if let Some(data) = self.data.take() {
            out.push(Event {
                name: String::from_utf8_lossy(&name).into_owned(),
                data,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let (mut events, mut out) = (Events::default(), Vec::new());
        for piece in pieces {
            events.push(piece, &mut out);
        }
        out.extend(events.finish());
        out.into_iter()
            .map(|event| {
                (
                    event.name,
                    String::from_utf8_lossy(&event.data).into_owned(),
                )
            })
            .collect()
    }

    fn data(texts: &[&str]) -> Vec<(String, String)> {
        texts
            .iter()
            .map(|text| (String::new(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn events_end_at_blank_lines_however_lines_end() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!(
                "{end}{end}: keep-alive{end}{end}data: a{end}data:b{end}{end}data:{end}{end}"
            );
            assert_eq!(read(&[text.as_bytes()]), data(&["a\nb", ""]), "{end:?}");
        }
    }

    #[test]
    fn names_belong_to_one_event_and_other_fields_to_none() {
        let text = b"event: ping\nid: 7\nretry: 10\n\nevent: delta\ndata: {}\n\ndata: x\n\n";
        let expected = vec![
            ("delta".to_owned(), "{}".to_owned()),
            (String::new(), "x".to_owned()),
        ];
        assert_eq!(read(&[text]), expected);
    }

    #[test]
    fn a_return_and_its_line_feed_may_come_apart() {
        assert_eq!(
            read(&[b"data: a\r", b"\ndata: b\r", b"\r", b"\n"]),
            data(&["a\nb"])
        );
        assert_eq!(read(&[b"data: a\r", b"", b"\n\n"]), data(&["a"]));
    }

    #[test]
    fn an_event_cut_short_is_given_out_and_bare_json_is_data() {
        assert_eq!(read(&[b"data: a\n\ndata: {\"b"]), data(&["a", "{\"b"]));
        assert_eq!(read(&[b"{\"error\": 1}\n\n"]), data(&["{\"error\": 1}"]));
        assert_eq!(read(&[b"\xef\xbb\xbfdata: a\n\n"]), data(&["a"]));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            bytes in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b'd'), Just(b' '), any::<u8>()], 0..80),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let bytes = [b"data: x\r\n".as_slice(), &bytes, b"data: y"].concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for cut in cuts {
                pieces.push(&bytes[start..cut]);
                start = cut;
            }
            pieces.push(&bytes[start..]);
            prop_assert_eq!(read(&pieces), read(&[&bytes]));
        }
    }
}
