//! The JSON Schemas of the report and of coverage, as `snapgap schema` prints them. pure

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use super::model::{Report, SCHEMA};
use crate::velero::coverage::{self, CoverageReport};

/// The schema of the report, draft 2020-12. It describes what is written: fields that may be empty are present all the same.
pub fn report() -> Value {
    of::<Report>(SCHEMA)
}

/// The schema of what `snapgap coverage` prints.
pub fn coverage() -> Value {
    of::<CoverageReport>(coverage::SCHEMA)
}

fn of<T: JsonSchema>(name: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    schema.insert("$id".into(), format!("https://snapgap.example.com/schemas/{name}.json").into());
    schema.insert("title".into(), name.into());
    schema.to_value()
}

/// A schema as indented JSON with a newline at its end.
pub fn text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::report::sample;

    /// Checks a value against the keywords that schemars writes; an unknown keyword fails, so that nothing goes unchecked.
    fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Object(map) => map,
            other => return Err(format!("{at}: a schema that is {other}")),
        };
        let fail = |why: String| Err(format!("{at}: {why}"));
        let empty = Map::new();
        for (keyword, wanted) in schema {
            match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" | "format" | "default" | "required" | "additionalProperties" => {}
                "$ref" => {
                    let pointer = wanted.as_str().and_then(|r| r.strip_prefix('#')).ok_or("a reference elsewhere")?;
                    check(root, root.pointer(pointer).ok_or(format!("no {pointer}"))?, value, at)?;
                }
                "type" => {
                    let names: Vec<&str> =
                        wanted.as_array().map_or_else(|| wanted.as_str().into_iter().collect(), |a| a.iter().filter_map(Value::as_str).collect());
                    let is = |name: &str| match name {
                        "object" => value.is_object(),
                        "array" => value.is_array(),
                        "string" => value.is_string(),
                        "integer" => value.is_i64() || value.is_u64(),
                        "boolean" => value.is_boolean(),
                        "null" => value.is_null(),
                        _ => false,
                    };
                    if !names.iter().any(|n| is(n)) {
                        return fail(format!("{value} is not {wanted}"));
                    }
                }
                "const" if value != wanted => return fail(format!("{value} is not {wanted}")),
                "const" => {}
                "enum" => {
                    if !wanted.as_array().is_some_and(|all| all.contains(value)) {
                        return fail(format!("{value} is none of {wanted}"));
                    }
                }
                "minimum" => {
                    if value.as_i64().is_some_and(|n| Some(n) < wanted.as_i64()) {
                        return fail(format!("{value} is below {wanted}"));
                    }
                }
                "maximum" => {}
                "anyOf" | "oneOf" => {
                    let all = wanted.as_array().cloned().unwrap_or_default();
                    let results: Vec<_> = all.iter().map(|s| check(root, s, value, at)).collect();
                    if !results.iter().any(Result::is_ok) {
                        return fail(format!("none of {keyword}: {results:?}"));
                    }
                }
                "allOf" => wanted.as_array().into_iter().flatten().try_for_each(|s| check(root, s, value, at))?,
                "items" => value.as_array().into_iter().flatten().enumerate().try_for_each(|(i, v)| check(root, wanted, v, &format!("{at}/{i}")))?,
                "properties" => {
                    for (name, inner) in wanted.as_object().unwrap_or(&empty) {
                        if let Some(v) = value.get(name) {
                            check(root, inner, v, &format!("{at}/{name}"))?;
                        }
                    }
                }
                "propertyNames" => {
                    value
                        .as_object()
                        .into_iter()
                        .flat_map(Map::keys)
                        .try_for_each(|k| check(root, wanted, &Value::from(k.as_str()), &format!("{at}/{k}")))?;
                }
                "patternProperties" => {}
                other => return fail(format!("the keyword {other} is not known to this test")),
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none() {
                return fail(format!("no {name}"));
            }
        }
        match schema.get("additionalProperties") {
            None => Ok(()),
            Some(rest) => {
                let named = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
                let more = value.as_object().into_iter().flatten().filter(|(k, _)| !named.contains_key(*k));
                more.into_iter().try_for_each(|(k, v)| check(root, rest, v, &format!("{at}/{k}")))
            }
        }
    }

    #[test]
    fn what_is_printed_is_what_the_schema_says() {
        let schema = report();
        for sample in [sample::busy(), sample::clean()] {
            let value = serde_json::to_value(&sample).expect("a value");
            check(&schema, &schema, &value, "").expect("valid");
        }
    }

    #[test]
    fn what_the_schema_does_not_allow_is_found() {
        let schema = report();
        let good = serde_json::to_value(sample::busy()).expect("a value");
        for (pointer, bad) in [
            ("/objects/0/drift", Value::from("drifted")),
            ("/now", Value::from(7)),
            ("/summary/objects", Value::from("many")),
            ("/windows/0/state", Value::Null),
        ] {
            let mut value = good.clone();
            *value.pointer_mut(pointer).expect("a place") = bad;
            assert!(check(&schema, &schema, &value, "").is_err(), "{pointer}");
        }
        let mut value = good;
        value.as_object_mut().expect("a mapping").remove("summary");
        assert!(check(&schema, &schema, &value, "").is_err());
    }
}
