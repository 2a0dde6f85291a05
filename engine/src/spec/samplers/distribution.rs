//! The distribution of a drawn parameter: one of some values, or a number of a range.

use crate::spec::{
    node::{Node, Value},
    sweep::label,
};

/// The distribution of a parameter.
#[derive(Clone, Debug)]
pub enum ParamDistribution {
    /// One of these values.
    Among(Vec<Node>),
    /// A uniform number of a range: least, greatest, and the node where it is written.
    Uniform(f64, f64, Node),
    /// A number of a range whose logarithm is uniform: least, greatest, and the node.
    LogUniform(f64, f64, Node),
    /// A uniform whole number of a range: least, greatest, and the node.
    Int(i64, i64, Node),
}

impl ParamDistribution {
    /// Parses `uniform(0, 1)`, `loguniform(0.1, 10)` or `int(4, 40)`; `None` if the text is none of them.
    ///
    /// # Errors
    /// Returns a message if the range is faulty.
    pub fn parse(node: &Node) -> Option<Result<Self, String>> {
        let (name, arguments) = node.text()?.trim().strip_suffix(')')?.split_once('(')?;
        let name = name.trim();
        if !["uniform", "loguniform", "int"].contains(&name) {
            return None;
        }
        let numbers: Result<Vec<f64>, _> =
            arguments.split(',').map(|number| number.trim().parse()).collect();
        let Ok([low, high]) = numbers.as_deref() else {
            return Some(Err(format!("`{name}` takes two numbers, the least and the most")));
        };
        let (low, high) = (*low, *high);
        Some(match name {
            _ if !(low.is_finite() && high.is_finite() && low < high) => {
                Err(format!("the first number of `{name}` must be below the second"))
            }
            "int" if [low, high].iter().any(|it| it.fract() != 0.0 || it.abs() > 1e15) => {
                Err("the numbers of `int` must be whole".to_owned())
            }
            "int" => Ok(Self::Int(low as i64, high as i64, node.clone_bare())),
            "uniform" => Ok(Self::Uniform(low, high, node.clone_bare())),
            _ if low <= 0.0 => Err("the numbers of `loguniform` must be above 0".to_owned()),
            _ => Ok(Self::LogUniform(low, high, node.clone_bare())),
        })
    }

    /// The value at a position from 0 to 1. Numbers are rounded to four digits, so that they can be
    /// read in the names of steps.
    pub fn at(&self, u: f64) -> Node {
        let (value, node) = match self {
            Self::Among(values) => {
                let at = (u * values.len() as f64) as usize;
                return values[at.min(values.len() - 1)].clone();
            }
            Self::Uniform(low, high, node) => (low + (high - low) * u, node),
            Self::LogUniform(low, high, node) => (low * (high / low).powf(u), node),
            Self::Int(low, high, node) => {
                let at = (u * (high - low + 1) as f64) as i64;
                let value = Value::Int((low + at).clamp(*low, *high).into());
                return Node { value, ..node.clone_bare() };
            }
        };
        Node { value: Value::Real(rounded(value)), ..node.clone_bare() }
    }

    /// The number of listed values; 0 for a range.
    pub fn choices(&self) -> usize {
        match self {
            Self::Among(values) => values.len(),
            Self::Uniform(..) | Self::LogUniform(..) | Self::Int(..) => 0,
        }
    }

    /// The position of a value that [`ParamDistribution::at`] gave; in a list, the middle of the
    /// value's share.
    pub fn place(&self, value: &Node) -> f64 {
        let number = match value.value {
            Value::Real(number) => number,
            Value::Int(number) => number as f64,
            _ => 0.0,
        };
        let place = match self {
            Self::Among(values) => {
                let at = values.iter().position(|it| label(it) == label(value)).unwrap_or(0);
                (at as f64 + 0.5) / values.len() as f64
            }
            Self::Uniform(low, high, _) => (number - low) / (high - low),
            Self::LogUniform(low, high, _) => (number / low).ln() / (high / low).ln(),
            // The middle of the share of the number.
            Self::Int(low, high, _) => (number - *low as f64 + 0.5) / (high - low + 1) as f64,
        };
        place.clamp(0.0, 1.0)
    }

    /// The positions of all values, each once; none if there are more than `most`.
    pub fn places(&self, most: usize) -> Option<Vec<f64>> {
        let (low, high, node) = match self {
            Self::Among(values) => {
                let mut places: Vec<f64> = values.iter().map(|value| self.place(value)).collect();
                places.sort_by(f64::total_cmp);
                places.dedup();
                return Some(places);
            }
            Self::Int(low, high, _) => {
                let count = (high - low + 1) as usize;
                let place = |at| (at as f64 + 0.5) / count as f64;
                return (count <= most).then(|| (0..count).map(place).collect());
            }
            Self::Uniform(low, high, node) | Self::LogUniform(low, high, node) => {
                (rounded(*low), rounded(*high), node)
            }
        };
        // A range that reaches zero has no end of four-digit numbers.
        if low * high <= 0.0 {
            return None;
        }
        let (mut next, last) = (low.abs().min(high.abs()), low.abs().max(high.abs()));
        let mut places = Vec::new();
        while next <= last {
            if places.len() == most {
                return None;
            }
            let value = Value::Real(next.copysign(low));
            places.push(self.place(&Node { value, ..node.clone_bare() }));
            next = following(next)?;
        }
        Some(places)
    }
}

/// Rounds a number to four digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The next greater number with four digits after a positive one.
fn following(value: f64) -> Option<f64> {
    let text = format!("{value:.3e}");
    let (digits, exponent) = text.split_once('e')?;
    let digits: u32 = digits.replace('.', "").parse().ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    format!("{}e{}", digits + 1, exponent - 3).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_places_are_inverse() {
        let bare = Node::new(Value::Null, 0..0);
        let values = (1..5).map(|it| Node::new(Value::Int(it), 0..0)).collect();
        for distribution in [
            ParamDistribution::Among(values),
            ParamDistribution::Uniform(-2.0, 3.0, bare.clone()),
            ParamDistribution::LogUniform(0.01, 100.0, bare.clone()),
            ParamDistribution::Int(-3, 40, bare),
        ] {
            for u in [0.1, 0.35, 0.6, 0.9] {
                let again = distribution.at(distribution.place(&distribution.at(u)));
                assert_eq!(again.plain(), distribution.at(u).plain());
            }
        }
    }

    #[test]
    fn the_values_of_a_narrow_range_are_counted() {
        let bare = Node::new(Value::Null, 0..0);
        for (distribution, count) in [
            (ParamDistribution::Uniform(1.0, 1.01, bare.clone()), 11),
            (ParamDistribution::LogUniform(9.99, 10.02, bare.clone()), 13),
            (ParamDistribution::Uniform(-1.001, -0.999, bare.clone()), 12),
        ] {
            let places = distribution.places(100).expect("few values");
            let mut values: Vec<_> = places.iter().map(|u| distribution.at(*u).plain()).collect();
            values.sort();
            values.dedup();
            assert_eq!((places.len(), values.len()), (count, count), "{distribution:?}");
            for u in 0..1000 {
                assert!(values.contains(&distribution.at(f64::from(u) / 1000.0).plain()));
            }
        }
        assert!(ParamDistribution::Uniform(0.0, 1.0, bare.clone()).places(100).is_none());
        let whole = ParamDistribution::Int(0, 3, bare);
        let places = whole.places(4).expect("four values");
        let values: Vec<_> = places.iter().map(|u| whole.at(*u).plain()).collect();
        assert_eq!(values, ["0", "1", "2", "3"].map(|value| Some(value.to_owned())));
        assert_eq!(whole.places(3), None);
        assert_eq!([0.0, 1.0].map(|u| whole.at(u).plain()), [values[0].clone(), values[3].clone()]);
    }

    #[test]
    fn lists_are_told_apart_by_all_that_they_hold() {
        let list = |items: &[i128]| {
            let items = items.iter().map(|it| Node::new(Value::Int(*it), 0..0)).collect();
            Node::new(Value::List(items), 0..0)
        };
        let among = ParamDistribution::Among(vec![list(&[4]), list(&[4, 8]), list(&[4])]);
        assert_eq!(among.places(10), Some(vec![0.5 / 3.0, 1.5 / 3.0]));
    }
}
