//! Reads the JSON schema of a parameter: its limits, in code and in words.

use crate::ui::diagnostic::{listed, quote};
use serde_json::Value as Json;

/// A part of a JSON schema, with its references followed.
#[derive(Clone, Copy)]
pub struct Schema<'s> {
    root: &'s Json,
    /// The part as it is written, which has the documentation.
    outer: &'s Json,
    /// The part that `outer` refers to.
    inner: &'s Json,
}

/// An entry of a map. The maps of schemas are small, where a search is quicker than a hash.
fn entry<'s>(map: &'s Json, name: &str) -> Option<&'s Json> {
    map.as_object()?.iter().find_map(|(key, value)| (key == name).then_some(value))
}

/// A schema that allows anything.
pub const ANY: Schema<'static> =
    Schema { root: &Json::Bool(true), outer: &Json::Bool(true), inner: &Json::Bool(true) };

impl<'s> Schema<'s> {
    /// The whole schema.
    pub fn new(root: &'s Json) -> Self {
        Self { root, outer: root, inner: root }.part(root)
    }

    fn part(self, part: &'s Json) -> Self {
        let mut inner = part;
        // The loop is limited, so that a schema that refers to itself ends.
        for _ in 0..16 {
            let Some(pointer) = entry(inner, "$ref").and_then(Json::as_str) else { break };
            let target = pointer.strip_prefix('#').and_then(|at| self.root.pointer(at));
            let Some(target) = target else { break };
            inner = target;
        }
        Self { root: self.root, outer: part, inner }
    }

    fn get(&self, name: &str) -> Option<&'s Json> {
        entry(self.outer, name).or_else(|| entry(self.inner, name))
    }

    /// The JSON of the part, with references followed.
    pub fn json(&self) -> &'s Json {
        self.inner
    }

    /// The schema of a named entry.
    pub fn property(&self, name: &str) -> Option<Self> {
        entry(entry(self.inner, "properties")?, name).map(|part| self.part(part))
    }

    /// The names of all entries.
    pub fn properties(&self) -> Vec<&'s str> {
        let properties = entry(self.inner, "properties").and_then(Json::as_object);
        properties.into_iter().flat_map(|map| map.keys().map(String::as_str)).collect()
    }

    /// The schema of entries without a name of their own.
    pub fn other_property(&self) -> Option<Self> {
        match entry(self.inner, "additionalProperties") {
            Some(Json::Bool(false)) => None,
            Some(part) => Some(self.part(part)),
            None => Some(ANY),
        }
    }

    /// The names of required entries.
    pub fn required(&self) -> Vec<&'s str> {
        let names = entry(self.inner, "required").and_then(Json::as_array);
        names.into_iter().flatten().filter_map(Json::as_str).collect()
    }

    /// The schema of an item of a list.
    pub fn item(&self, at: usize) -> Option<Self> {
        let fixed = entry(self.inner, "prefixItems").and_then(|items| items.get(at));
        fixed.or_else(|| entry(self.inner, "items")).map(|part| self.part(part))
    }

    /// True if a list may have `count` items.
    pub fn holds_items(&self, count: usize) -> bool {
        let limit = |name| entry(self.inner, name).and_then(Json::as_u64);
        limit("minItems").is_none_or(|least| least <= count as u64)
            && limit("maxItems").is_none_or(|most| count as u64 <= most)
    }

    /// The types that the schema allows; empty if it allows any.
    pub fn types(&self) -> Vec<&'s str> {
        match entry(self.inner, "type") {
            Some(Json::String(name)) => vec![name],
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The texts that the schema allows, if it allows only certain ones.
    pub fn choices(&self) -> Option<Vec<&'s str>> {
        if let Some(choice) = entry(self.inner, "const").and_then(Json::as_str) {
            return Some(vec![choice]);
        }
        if let Some(Json::Array(choices)) = entry(self.inner, "enum") {
            return choices.iter().map(Json::as_str).collect();
        }
        let Some(Json::Array(options)) = entry(self.inner, "oneOf") else { return None };
        let choices: Option<Vec<Vec<&str>>> =
            options.iter().map(|option| self.part(option).choices()).collect();
        choices.map(|choices| choices.concat())
    }

    /// The schemas of which one must fit, unless all of them are texts.
    pub fn alternatives(&self) -> Option<Vec<Self>> {
        if self.choices().is_some() {
            return None;
        }
        let options =
            entry(self.inner, "anyOf").or_else(|| entry(self.inner, "oneOf"))?.as_array()?;
        Some(options.iter().map(|option| self.part(option)).collect())
    }

    /// True if a number is within the limits.
    pub fn holds(&self, number: f64) -> bool {
        let (least, most) = self.limits();
        let above = self.number("exclusiveMinimum");
        let below = self.number("exclusiveMaximum");
        least.is_none_or(|least| least <= number)
            && most.is_none_or(|most| number <= most)
            && above.is_none_or(|above| above < number)
            && below.is_none_or(|below| number < below)
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Json::as_f64)
    }

    /// The least and the greatest number; for a `u32` and similar types, the schema leaves out the
    /// greatest.
    fn limits(&self) -> (Option<f64>, Option<f64>) {
        let most = self.number("maximum").or(match self.get("format").and_then(Json::as_str) {
            Some("uint8") => Some(u8::MAX.into()),
            Some("uint16") => Some(u16::MAX.into()),
            Some("uint32") => Some(u32::MAX.into()),
            Some("int32") => Some(i32::MAX.into()),
            _ => None,
        });
        (self.number("minimum"), most)
    }

    /// The first paragraph of the documentation, on one line.
    pub fn doc(&self) -> Option<String> {
        let text = self.get("description")?.as_str()?;
        let paragraph = text.split("\n\n").next().unwrap_or_default();
        let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        (!line.is_empty()).then_some(line)
    }

    /// The default value.
    pub fn default(&self) -> Option<&'s Json> {
        entry(self.outer, "default")
    }

    /// The default as YAML; `None` where the parameter must be given.
    pub fn default_text(&self) -> Option<String> {
        self.default().map(|value| match value {
            Json::String(text) if needs_no_quotes(text) => text.clone(),
            Json::Number(number) => number
                .as_f64()
                .filter(|_| number.is_f64())
                .map_or_else(|| number.to_string(), |real| real.to_string()),
            other => other.to_string(),
        })
    }

    /// The allowed values in words: "a whole number of at least 1".
    pub fn expected(&self) -> String {
        if let Some(choices) = self.choices() {
            return match &choices[..] {
                [only] => quote(only),
                _ => format!("one of {}", listed(&choices, "or")),
            };
        }
        if let Some(alternatives) = self.alternatives() {
            let mut words: Vec<String> = alternatives.iter().map(Schema::expected).collect();
            words.dedup();
            // `null` does not help a user who wrote a value.
            words.retain(|word| word != "`null`");
            return words.join(" or ");
        }
        let mut words: Vec<String> = Vec::new();
        for name in self.types() {
            words.push(match name {
                "integer" => format!("a whole number{}", self.range()),
                "number" => format!("a number{}", self.range()),
                "string" => "a text".to_owned(),
                "boolean" => "`true` or `false`".to_owned(),
                "array" => self.expected_list(),
                "object" => match &self.properties()[..] {
                    [] => "a map".to_owned(),
                    names => format!("a map with {}", listed(names, "and")),
                },
                "null" => continue,
                other => other.to_owned(),
            });
        }
        match (words.is_empty(), self.types().contains(&"null")) {
            (true, true) => "`null`".to_owned(),
            (true, false) => "a value".to_owned(),
            _ => words.join(" or "),
        }
    }

    fn expected_list(&self) -> String {
        let count = entry(self.inner, "minItems").and_then(Json::as_u64);
        let exact = count.filter(|_| entry(self.inner, "maxItems").and_then(Json::as_u64) == count);
        let item = self.item(0).map(|item| item.expected());
        let least = count.filter(|count| exact.is_none() && *count > 0);
        let count = match (exact, least) {
            (Some(count), _) => format!(" of {count}"),
            (None, Some(count)) => format!(" of at least {count}"),
            (None, None) => String::new(),
        };
        item.map_or(format!("a list{count}"), |item| format!("a list{count}, each {item}"))
    }

    fn range(&self) -> String {
        let (least, most) = self.limits();
        // The limits of integer types are not shown.
        let most = most.filter(|most| *most < f64::from(i32::MAX));
        let (above, below) = (self.number("exclusiveMinimum"), self.number("exclusiveMaximum"));
        match (least, above, most, below) {
            (Some(least), _, Some(most), _) => format!(" from {least} to {most}"),
            (Some(least), _, _, Some(below)) => format!(" of at least {least} and below {below}"),
            (Some(least), ..) => format!(" of at least {least}"),
            (_, Some(above), Some(most), _) => format!(" above {above} and at most {most}"),
            (_, Some(above), _, Some(below)) => format!(" above {above} and below {below}"),
            (_, Some(above), ..) => format!(" above {above}"),
            (_, _, Some(most), _) => format!(" of at most {most}"),
            (_, _, _, Some(below)) => format!(" below {below}"),
            _ => String::new(),
        }
    }

    /// An example of a value.
    pub fn example(&self) -> String {
        if let Some(choices) = self.choices() {
            return choices.first().map_or_else(|| "…".to_owned(), |choice| (*choice).to_owned());
        }
        if let Some(text) = entry(self.outer, "examples").and_then(|it| it.get(0)) {
            return text.as_str().map_or_else(|| text.to_string(), str::to_owned);
        }
        "…".to_owned()
    }
}

/// True if a text stays the same text when it is written without quotes.
pub fn needs_no_quotes(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-./ ".contains(letter))
        && !text.ends_with(' ')
        && !["true", "false", "null"].contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn says_what_is_expected() {
        for (schema, words) in [
            (
                json!({"type": "integer", "minimum": 1, "format": "uint64"}),
                "a whole number of at least 1",
            ),
            (json!({"type": ["integer", "null"], "minimum": 1}), "a whole number of at least 1"),
            (json!({"type": "number", "exclusiveMinimum": 0}), "a number above 0"),
            (json!({"type": "number", "minimum": 0, "maximum": 1}), "a number from 0 to 1"),
            (json!({"enum": ["a", "b"]}), "one of `a` or `b`"),
            (json!({"anyOf": [{"type": "number"}, {"type": "null"}]}), "a number"),
            (
                json!({"anyOf": [{"enum": ["max", "one"]}, {"type": "number"}]}),
                "one of `max` or `one` or a number",
            ),
            (json!({"type": "array", "items": {"type": "integer"}}), "a list, each a whole number"),
            (json!({"type": "boolean"}), "`true` or `false`"),
            (json!({}), "a value"),
        ] {
            assert_eq!(Schema::new(&schema).expected(), words, "{schema}");
        }
    }

    #[test]
    fn follows_references_even_to_themselves() {
        let schema = json!({
            "properties": {"a": {"$ref": "#/$defs/A", "default": 2}, "b": {"$ref": "#/$defs/B"}},
            "$defs": {"A": {"type": "number", "description": "An a.\n\nMore."}, "B": {"$ref": "#/$defs/B"}},
        });
        let root = Schema::new(&schema);
        let a = root.property("a").expect("a");
        assert_eq!((a.expected(), a.doc()), ("a number".to_owned(), Some("An a.".to_owned())));
        assert_eq!(a.default_text(), Some("2".to_owned()));
        assert_eq!(root.property("b").expect("b").expected(), "a value");
    }
}
