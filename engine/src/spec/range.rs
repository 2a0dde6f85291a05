//! The ranges `range(1,9)`, `linspace(0,1,5)` and `logspace(-1,1,5)`, with the meaning they have in
//! Python and NumPy.

use super::node::{Node, Value};

/// The values of a range written as a text; `None` where the text is no range.
///
/// # Errors
/// Returns a message if the range is faulty.
pub fn expand(node: &Node) -> Option<Result<Vec<Node>, String>> {
    let text = node.text()?.trim();
    let (name, arguments) = text.strip_suffix(')')?.split_once('(')?;
    let numbers: Result<Vec<f64>, _> =
        arguments.split(',').map(|number| number.trim().parse::<f64>()).collect();
    let values = match (name.trim(), numbers) {
        ("range" | "linspace" | "logspace", Err(_)) => {
            Err(format!("the arguments of `{}` are numbers", name.trim()))
        }
        ("range", Ok(numbers)) => range(&numbers),
        ("linspace", Ok(numbers)) => spaced(&numbers, "linspace", |x| x),
        ("logspace", Ok(numbers)) => spaced(&numbers, "logspace", |x| 10f64.powf(x)),
        _ => return None,
    };
    let at_place = |value| Node { value, ..node.clone_bare() };
    Some(values.map(|values| values.into_iter().map(at_place).collect()))
}

const MAX_VALUES: usize = 1000;

fn range(numbers: &[f64]) -> Result<Vec<Value>, String> {
    let (start, end, step) = match *numbers {
        [end] => (0.0, end, 1.0),
        [start, end] => (start, end, 1.0),
        [start, end, step] => (start, end, step),
        _ => return Err("`range` takes a start, an end (not itself included) and a step".into()),
    };
    let whole = |x: f64| x.fract() == 0.0 && x.abs() < 1e15;
    if ![start, end, step].into_iter().all(whole) || step == 0.0 {
        return Err("`range` takes whole numbers and a step other than 0".to_owned());
    }
    let count = ((end - start) / step).ceil().max(0.0);
    if count > MAX_VALUES as f64 {
        return Err(format!("the range has {count} values; at most {MAX_VALUES} are allowed"));
    }
    let value = |at: usize| Value::Int((start + at as f64 * step) as i128);
    Ok((0..count as usize).map(value).collect())
}

fn spaced(numbers: &[f64], name: &str, scale: fn(f64) -> f64) -> Result<Vec<Value>, String> {
    let [start, end, count] = *numbers else {
        return Err(format!("`{name}` takes a start, an end (itself included) and a count"));
    };
    if !(start.is_finite() && end.is_finite()) || count.fract() != 0.0 {
        return Err(format!("`{name}` takes two finite numbers and a whole count"));
    }
    if !(1.0..=MAX_VALUES as f64).contains(&count) {
        return Err(format!("the count of `{name}` is from 1 to {MAX_VALUES}"));
    }
    let last = (count - 1.0).max(1.0);
    let point = |at: usize| scale(start + (end - start) * (at as f64 / last));
    Ok((0..count as usize).map(|at| Value::Real(point(at))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match expand(&Node::new(Value::Text(text.to_owned()), 0..0)) {
            None => "no range".to_owned(),
            Some(Err(message)) => message,
            Some(Ok(nodes)) => {
                let values: Vec<_> = nodes.iter().filter_map(Node::plain).collect();
                values.join(" ")
            }
        }
    }

    #[test]
    fn ranges_as_python_and_numpy() {
        assert_eq!(shown("range(1,9)"), "1 2 3 4 5 6 7 8");
        assert_eq!(shown("range(3)"), "0 1 2");
        assert_eq!(shown("range(8, 0, -4)"), "8 4");
        assert_eq!(shown("range(3,1)"), "");
        assert_eq!(shown("linspace(0, 1, 5)"), "0 0.25 0.5 0.75 1");
        assert_eq!(shown("logspace(-1,1,3)"), "0.1 1 10");
        assert_eq!(shown("pca"), "no range");
        assert!(shown("range(1e14)").contains("at most"));
        assert!(shown("range(nan)").contains("whole"));
        assert!(shown("logspace(0,1,inf)").contains("whole count"));
        assert!(shown("range(a)").contains("numbers"));
    }
}
