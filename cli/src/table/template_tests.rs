#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value as Json, json};

use super::*;

fn columns(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(columns) => columns,
        other => panic!("{other} is no object"),
    }
}

fn render(template: &str, row: Json) -> Result<String, TemplateError> {
    Template::compile(template)?.render(&columns(row))
}

fn holds(expression: &str, row: Json) -> Result<bool, TemplateError> {
    let row = columns(row);
    Expression::compile(expression)?.condition()?.holds(&row)
}

#[test]
fn columns_are_filled_in_and_the_end_is_kept() {
    let row = json!({"text": "<b>&", "n": 3});
    assert_eq!(render("{{ text }} {{ n }}\n", row).unwrap(), "<b>& 3\n");
    let row = json!({"Customer text": "hello"});
    assert_eq!(render("{{ row['Customer text'] }}", row).unwrap(), "hello");
    let row = json!({"turns": [{"content": "a"}, {"content": "b"}]});
    let template = "{% for turn in turns %}{{ turn.content }};{% endfor %}";
    assert_eq!(render(template, row).unwrap(), "a;b;");
}

#[test]
fn texts_are_cleaned() {
    let cases = [
        ("without_links", "see https://t.co/x?y=1 now", "see  now"),
        ("without_links", "lol:HTTP://a.b\nnext", "lol:\nnext"),
        ("without_links", "www.example.org", ""),
        ("without_links", "awww.http", "awww.http"),
        ("without_links", "Ünï https://ü.ü ok", "Ünï  ok"),
        ("without_handles", "@united's crew", "'s crew"),
        ("without_handles", "RT @a_1: hi .@b", "RT : hi ."),
        (
            "without_handles",
            "mail me@here.org @ 5 @@x",
            "mail me@here.org @ 5 @",
        ),
        ("squeeze", "  a \n\t b  ", "a b"),
    ];
    for (filter, text, expected) in cases {
        let template = format!("{{{{ text | {filter} }}}}");
        let found = render(&template, json!({"text": text})).unwrap();
        assert_eq!(found, expected, "{filter} of {text:?}");
    }
}

#[test]
fn text_of_a_csv_is_compared_as_a_number_where_asked() {
    let expression = "sentiment in ['positive', 'negative'] and confidence|float >= 0.9";
    let row = |sentiment, confidence| json!({"sentiment": sentiment, "confidence": confidence});
    assert!(holds(expression, row("positive", "0.93")).unwrap());
    assert!(!holds(expression, row("positive", "0.8999")).unwrap());
    assert!(!holds(expression, row("neutral", "1.0")).unwrap());
    // An empty cell is no number; whoever wants one for it says which.
    assert!(holds(expression, row("positive", "")).is_err());
    assert!(!holds("confidence|float(0) >= 0.9", row("positive", "")).unwrap());
    let error = holds(expression, row("positive", "high")).unwrap_err();
    assert!(matches!(error, TemplateError::Row(_)), "{error:?}");
}

#[test]
fn missing_columns_and_nulls_are_named() {
    let error = render("{{ text }}", json!({"txt": "a"})).unwrap_err();
    assert_eq!(error.to_string(), "it has no column `text`");
    for template in ["{{ text }}", "{{ text | squeeze }}"] {
        let error = render(template, json!({"text": null})).unwrap_err();
        assert_eq!(error.to_string(), "a value is null");
    }
    let template = Template::compile("{{ sentimnt }}").unwrap();
    let known = ["sentiment".to_owned(), "text".to_owned()];
    assert_eq!(
        template.require(&known).unwrap_err().to_string(),
        "there is no column `sentimnt`, did you mean `sentiment`?; the columns are `sentiment`, `text`"
    );
    let fine = "{{ row['x'] }}{% for i in range(2) %}{{ text }}{% set y = 1 %}{{ y }}{% endfor %}";
    Template::compile(fine).unwrap().require(&known).unwrap();
}

#[test]
fn mistakes_are_found_before_any_row() {
    for template in ["{{ text", "{{ text | without_link }}", "{% for %}"] {
        let error = Template::compile(template).unwrap_err();
        assert!(
            matches!(
                error,
                TemplateError::Syntax {
                    what: "template",
                    ..
                }
            ),
            "{template}: {error:?}"
        );
    }
    assert!(Expression::compile("a and").is_err());
    let error = Expression::compile("a|flat > 1").unwrap_err().to_string();
    assert!(error.contains("flat"), "{error}");
}

#[test]
fn a_template_that_does_not_end_is_stopped() {
    let endless = "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}";
    let error = render(endless, json!({})).unwrap_err();
    assert!(error.to_string().contains("fuel"), "{error}");
}
