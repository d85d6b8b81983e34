//! Whether a JSON value is a schema that a service can hold an answer to.
//!
//! Not a check against the whole meta-schema: it finds the mistakes that people make, such as an example in place of
//! a schema, and leaves to each service which keywords it takes.

use serde_json::Value;

const TYPES: [&str; 7] = [
    "string", "number", "integer", "boolean", "object", "array", "null",
];

/// Keywords of which a schema has one or more, or it allows everything.
const SAY_SOMETHING: [&str; 7] = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"];

/// What is wrong with `schema`, and at which place, such as `/properties/name/type`.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let says_something = SAY_SOMETHING.iter().any(|key| schema.get(key).is_some());
    if !says_something {
        let expected = SAY_SOMETHING.map(|key| format!("`{key}`")).join(", ");
        return Err(format!("it has none of {expected}"));
    }
    check_at(schema, "")
}

fn check_at(schema: &Value, place: &str) -> Result<(), String> {
    // `true` allows everything and `false` nothing.
    if schema.is_boolean() {
        return Ok(());
    }
    let Some(schema) = schema.as_object() else {
        let place = if place.is_empty() { "/" } else { place };
        return Err(format!("`{place}` is no object"));
    };
    for (key, value) in schema {
        let here = format!("{place}/{key}");
        match key.as_str() {
            "type" => check_type(value, &here)?,
            "properties" | "$defs" | "definitions" | "patternProperties" => {
                let inner = value.as_object().ok_or(format!("`{here}` is no object"))?;
                for (name, schema) in inner {
                    check_at(schema, &format!("{here}/{name}"))?;
                }
            }
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                let inner = value.as_array().ok_or(format!("`{here}` is no list"))?;
                for (index, schema) in inner.iter().enumerate() {
                    check_at(schema, &format!("{here}/{index}"))?;
                }
            }
            "items" | "additionalProperties" | "not" => check_at(value, &here)?,
            "enum" if value.as_array().is_none_or(Vec::is_empty) => {
                return Err(format!("`{here}` is no list of values"));
            }
            "required" => {
                let names = value.as_array().into_iter().flatten();
                if !value.is_array() || names.clone().any(|name| !name.is_string()) {
                    return Err(format!("`{here}` is no list of names"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_type(value: &Value, place: &str) -> Result<(), String> {
    let known = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let fits = match value {
        Value::Array(names) => !names.is_empty() && names.iter().all(known),
        name => known(name),
    };
    if fits {
        Ok(())
    } else {
        Err(format!("`{place}` is {value}, which is no type"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_pass() {
        for schema in [
            json!({"type": "object"}),
            json!({"type": ["string", "null"], "maxLength": 9}),
            json!({"enum": ["a", 1]}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"type": "integer"}}}}),
            json!({
                "type": "object",
                "properties": {"type": {"type": "string"}, "any": true},
                "required": ["type"],
                "additionalProperties": false,
            }),
        ] {
            assert_eq!(check(&schema), Ok(()), "{schema}");
        }
    }

    #[test]
    fn what_is_no_schema_says_where() {
        for (schema, place) in [
            (json!({"name": "Ada", "age": 36}), "none of"),
            (json!({"type": "text"}), "`/type`"),
            (json!({"type": []}), "`/type`"),
            (
                json!({"type": "object", "properties": ["a"]}),
                "`/properties`",
            ),
            (
                json!({"type": "object", "properties": {"a": "string"}}),
                "`/properties/a`",
            ),
            (json!({"anyOf": [{"type": "string"}, 7]}), "`/anyOf/1`"),
            (json!({"type": "object", "required": "a"}), "`/required`"),
            (
                json!({"type": "array", "items": {"enum": []}}),
                "`/items/enum`",
            ),
            (json!([]), "none of"),
        ] {
            let error = check(&schema).unwrap_err();
            assert!(error.contains(place), "{schema}: {error}");
        }
    }
}
