//! Rows that hold a whole conversation: the messages format, `ShareGPT` and Alpaca.

use limbeck_store::{FinishReason, Message};
use serde_json::{Map, Value};

/// A question and its answer, as a row tells them.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// The turns up to the answer.
    pub asked: Vec<Message>,
    /// The last turn of an assistant.
    pub answer: String,
    /// What the teacher thought aloud before it.
    pub reasoning: Option<String>,
    /// What the row calls itself.
    pub row_id: Option<String>,
    /// Why the answer ended.
    pub finish_reason: Option<FinishReason>,
    /// Tokens read and written.
    pub usage: Option<(u32, u32)>,
}

/// A row of `{"messages": [{"role": …, "content": …}, …]}`, with optional `id`, `reasoning`, `finish_reason` and
/// `usage`, as `limbeck traces export` writes them.
pub fn messages(row: &Map<String, Value>) -> Result<Conversation, String> {
    let turns = list(row, "messages")?;
    let turns = turns
        .iter()
        .enumerate()
        .map(|(index, turn)| chat_turn(turn).map_err(|why| format!("turn {}: {why}", index + 1)));
    let turns = turns.collect::<Result<Vec<_>, _>>()?;
    let mut conversation = conversation(turns)?;
    if let Some(reasoning) = owned_text(row, "reasoning") {
        conversation.reasoning = Some(reasoning);
    }
    conversation.row_id = row_id(row, "id");
    conversation.finish_reason = match row.get("finish_reason").and_then(Value::as_str) {
        Some("stop") => Some(FinishReason::Stop),
        Some("length") => Some(FinishReason::Length),
        Some("filtered" | "content_filter") => Some(FinishReason::Filtered),
        // An answer by choice came with its choices, which are not in the row.
        _ => None,
    };
    let count = |name: &str| {
        let count = row.get("usage")?.get(name)?.as_u64()?;
        u32::try_from(count).ok()
    };
    conversation.usage = count("prompt_tokens").zip(count("completion_tokens"));
    Ok(conversation)
}

/// A row of `{"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}, …]}`, with optional `id`
/// and `system`.
pub fn sharegpt(row: &Map<String, Value>) -> Result<Conversation, String> {
    let mut turns = Vec::new();
    if let Some(system) = owned_text(row, "system") {
        turns.push(Turn::plain("system", system));
    }
    for (index, turn) in list(row, "conversations")?.iter().enumerate() {
        let turn = sharegpt_turn(turn).map_err(|why| format!("turn {}: {why}", index + 1))?;
        turns.push(turn);
    }
    let mut conversation = conversation(turns)?;
    conversation.row_id = row_id(row, "id");
    Ok(conversation)
}

/// A row of `{"instruction": …, "input": …, "output": …}`, with optional `system` and `history` (pairs of question
/// and answer that came before). The question is the instruction and, after an empty line, the input.
pub fn alpaca(row: &Map<String, Value>) -> Result<Conversation, String> {
    let mut turns = Vec::new();
    if let Some(system) = owned_text(row, "system") {
        turns.push(Turn::plain("system", system));
    }
    if let Some(history) = row.get("history").filter(|history| !history.is_null()) {
        let pairs = serde_json::from_value::<Vec<(String, String)>>(history.clone())
            .map_err(|_| "`history` is not a list of pairs of texts".to_owned())?;
        for (question, answer) in pairs {
            turns.push(Turn::plain("user", question));
            turns.push(Turn::plain("assistant", answer));
        }
    }
    let instruction = text(row, "instruction")?;
    let question = match owned_text(row, "input") {
        Some(input) if instruction.is_empty() => input,
        Some(input) => format!("{instruction}\n\n{input}"),
        None => instruction.to_owned(),
    };
    turns.push(Turn::plain("user", question));
    turns.push(Turn::plain("assistant", text(row, "output")?.to_owned()));
    let mut conversation = conversation(turns)?;
    conversation.row_id = row_id(row, "id");
    Ok(conversation)
}

/// The turns of a request of a chat.
pub fn chat(messages: &[Value]) -> Result<Vec<Message>, String> {
    let turn = |(index, turn)| match chat_turn(turn) {
        Ok(turn) => Ok(turn.message),
        Err(why) => Err(format!("turn {} of the question: {why}", index + 1)),
    };
    messages.iter().enumerate().map(turn).collect()
}

/// What a row calls itself, if it is a text or a number.
pub fn row_id(row: &Map<String, Value>, name: &str) -> Option<String> {
    match row.get(name)? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

struct Turn {
    message: Message,
    reasoning: Option<String>,
}

impl Turn {
    fn plain(role: &str, content: String) -> Self {
        Self {
            message: Message::new(role, content),
            reasoning: None,
        }
    }
}

fn chat_turn(turn: &Value) -> Result<Turn, String> {
    let turn = turn.as_object().ok_or("it is no object")?;
    let role = match text(turn, "role")? {
        role @ ("system" | "user" | "assistant") => role,
        "developer" => "system",
        other => return Err(format!("the role `{}` is not known", short(other))),
    };
    let reasoning = owned_text(turn, "reasoning_content").or_else(|| owned_text(turn, "reasoning"));
    let content = turn.get("content").unwrap_or(&Value::Null);
    Ok(Turn {
        message: Message::new(role, content_text(content)?),
        reasoning,
    })
}

fn sharegpt_turn(turn: &Value) -> Result<Turn, String> {
    let fields = turn.as_object().ok_or("it is no object")?;
    if fields.contains_key("role") {
        return chat_turn(turn);
    }
    let role = match text(fields, "from")? {
        "human" | "user" => "user",
        "gpt" | "assistant" | "chatgpt" | "model" | "bing" | "bard" => "assistant",
        "system" => "system",
        other => return Err(format!("`from` is `{}`, which is not known", short(other))),
    };
    Ok(Turn::plain(role, text(fields, "value")?.to_owned()))
}

/// A text, or a list of parts that are texts.
fn content_text(content: &Value) -> Result<String, String> {
    let Value::Array(parts) = content else {
        let text = content.as_str().ok_or("`content` is no text")?;
        return Ok(text.to_owned());
    };
    let part = |part: &Value| match part.get("type").and_then(Value::as_str) {
        Some("text" | "input_text" | "output_text") => {
            let text = part.get("text").and_then(Value::as_str);
            text.map(str::to_owned)
                .ok_or_else(|| "a part of `content` holds no text".to_owned())
        }
        other => {
            let kind = short(other.unwrap_or("unnamed"));
            Err(format!("a part of `content` is no text but `{kind}`"))
        }
    };
    parts.iter().map(part).collect()
}

/// The last turn of an assistant is the answer; what follows it was never answered and is left out.
fn conversation(mut turns: Vec<Turn>) -> Result<Conversation, String> {
    let last = turns
        .iter()
        .rposition(|turn| turn.message.role == "assistant")
        .ok_or("no turn is an answer")?;
    turns.truncate(last + 1);
    let answer = turns.pop().ok_or("no turn is an answer")?;
    if !turns.iter().any(|turn| turn.message.role == "user") {
        return Err("nothing is asked before the answer".to_owned());
    }
    if answer.message.content.trim().is_empty() {
        return Err("the answer is empty".to_owned());
    }
    Ok(Conversation {
        asked: turns.into_iter().map(|turn| turn.message).collect(),
        answer: answer.message.content,
        reasoning: answer.reasoning,
        row_id: None,
        finish_reason: None,
        usage: None,
    })
}

fn list<'a>(row: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], String> {
    match row.get(name) {
        Some(Value::Array(values)) => Ok(values),
        Some(_) => Err(format!("`{name}` is no list")),
        None => Err(format!("it has no `{name}`")),
    }
}

fn text<'a>(row: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    match row.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("`{name}` is no text")),
        None => Err(format!("it has no `{name}`")),
    }
}

/// A text that says something.
fn owned_text(row: &Map<String, Value>, name: &str) -> Option<String> {
    let text = row.get(name)?.as_str()?;
    (!text.trim().is_empty()).then(|| text.to_owned())
}

/// Enough of a foreign word to recognise it.
fn short(word: &str) -> String {
    word.chars().take(40).collect()
}
