//! The values of plain scalars: the core schema of YAML 1.2, in which `yes` and `012:30` are texts.

use super::node::Value;

/// Parses a plain scalar.
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Real(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Real(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Value::Real(f64::NAN),
        _ => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return unsigned(digits, 16).map(Value::Int);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return unsigned(digits, 8).map(Value::Int);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(whole(text));
    }
    is_real(digits).then(|| text.parse().ok().map(Value::Real))?
}

/// Parses a whole number. Beyond 64 bits the last digits are lost, as in any reader.
fn whole(text: &str) -> Value {
    match text.parse::<i128>() {
        Ok(value) if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) => {
            Value::Int(value)
        }
        _ => Value::Real(text.parse().unwrap_or(f64::INFINITY)),
    }
}

fn unsigned(digits: &str, radix: u32) -> Option<i128> {
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok().map(i128::from)
}

/// True for `(\. [0-9]+ | [0-9]+ (\. [0-9]*)?) ([eE] [-+]? [0-9]+)?`.
fn is_real(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !before.is_empty() || !after.is_empty();
    has_digits
        && all_digits(before)
        && all_digits(after)
        && exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !digits.is_empty() && all_digits(digits)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        format!("{:?}", resolve(text))
    }

    #[test]
    fn core_schema() {
        for (text, value) in [
            ("", "Null"),
            ("~", "Null"),
            ("true", "Bool(true)"),
            ("yes", "Text(\"yes\")"),
            ("12", "Int(12)"),
            ("-3", "Int(-3)"),
            ("+3", "Int(3)"),
            ("0x1F", "Int(31)"),
            ("0o17", "Int(15)"),
            ("012", "Int(12)"),
            ("1.0e-3", "Real(0.001)"),
            ("1e3", "Real(1000.0)"),
            ("3.", "Real(3.0)"),
            (".5", "Real(0.5)"),
            (".inf", "Real(inf)"),
            ("-.inf", "Real(-inf)"),
            (".nan", "Real(NaN)"),
            ("18446744073709551615", "Int(18446744073709551615)"),
            ("99999999999999999999", "Real(1e20)"),
            ("1_000", "Text(\"1_000\")"),
            ("12:30", "Text(\"12:30\")"),
            ("inf", "Text(\"inf\")"),
            ("e5", "Text(\"e5\")"),
            (".", "Text(\".\")"),
            ("-", "Text(\"-\")"),
            ("1.2.3", "Text(\"1.2.3\")"),
            ("0x-1", "Text(\"0x-1\")"),
        ] {
            assert_eq!(shown(text), value, "{text}");
        }
    }
}
