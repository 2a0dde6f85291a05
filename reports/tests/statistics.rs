//! The statistics of a report beside SciPy's; `scipy/make.py` wrote the fixtures.

use reports::resampled::Resampled;
use reports::stats::{Test, estimate, holm, paired, seeds_needed, t_quantile, two_sided};
use serde_json::Value;
use std::collections::BTreeMap;

fn fixtures() -> Value {
    serde_json::from_str(include_str!("fixtures/statistics.json")).expect("fixtures")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().filter_map(Value::as_f64).collect()
}

fn near(ours: f64, theirs: f64, what: &str) {
    assert!((ours - theirs).abs() <= 1e-10 * theirs.abs().max(1e-3), "{what}: {ours} for {theirs}");
}

fn cases(fixtures: &Value, name: &str) -> Vec<Value> {
    let cases = fixtures[name].as_array().expect("cases").clone();
    assert!(cases.len() >= 10, "{name}");
    cases
}

#[test]
fn distribution_and_quantiles_of_student_are_those_of_scipy() {
    let fixtures = fixtures();
    for case in cases(&fixtures, "two_sided") {
        let [t, df, p] = numbers(&case)[..] else { panic!("{case}") };
        near(two_sided(t, df), p, &format!("P(|T| > {t}), {df} degrees"));
    }
    for case in cases(&fixtures, "quantile") {
        let [p, df, t] = numbers(&case)[..] else { panic!("{case}") };
        near(t_quantile(p, df), t, &format!("quantile {p}, {df} degrees"));
    }
}

#[test]
fn intervals_are_those_of_scipy() {
    for case in cases(&fixtures(), "interval") {
        let ours = estimate(&numbers(&case["values"])).expect("values");
        near(ours.mean, case["mean"].as_f64().expect("a mean"), "mean");
        near(ours.half_width.expect("a width"), case["half_width"].as_f64().expect("one"), "width");
    }
    assert_eq!(estimate(&[]), None);
    assert_eq!(estimate(&[0.5]).expect("one").half_width, None);
}

#[test]
fn paired_tests_are_those_of_scipy() {
    for case in cases(&fixtures(), "paired") {
        let rows = ["a", "b"].map(|row| {
            numbers(&case[row])
                .into_iter()
                .enumerate()
                .map(|(seed, it)| (seed as u64, it))
                .collect()
        });
        for (name, test) in [("t", Test::T), ("wilcoxon", Test::Wilcoxon)] {
            let ours = paired(&rows[0], &rows[1], test).expect("a test").p;
            near(ours, case[name].as_f64().expect("a p-value"), name);
        }
    }
    let constant = |value: f64| (0..3).map(|seed| (seed, value)).collect::<BTreeMap<u64, f64>>();
    let p = |a, b| paired(&constant(a), &constant(b), Test::T).expect("a test").p;
    assert_eq!((p(0.5, 0.5), p(0.5, 0.25)), (1.0, 0.0));
    assert_eq!(paired(&constant(1.0), &BTreeMap::from([(9, 1.0)]), Test::T), None);
}

#[test]
fn corrections_are_those_of_scipy() {
    for case in cases(&fixtures(), "holm") {
        let ours = holm(&numbers(&case["p"]));
        for (ours, theirs) in ours.iter().zip(numbers(&case["corrected"])) {
            near(*ours, theirs, "Holm");
        }
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn seeds_needed_are_those_of_the_noncentral_t() {
    for case in cases(&fixtures(), "seeds") {
        let number = |name: &str| case[name].as_f64().expect("a number");
        let ours = seeds_needed(number("difference"), number("deviation"), number("level"));
        // The formula takes the noncentral t for a shifted one.
        let off = (ours.expect("some") as f64 - number("n")).abs();
        assert!(off <= 1.0 + 0.02 * number("n"), "{case}: {ours:?}");
    }
    assert_eq!(seeds_needed(0.0, 1.0, 0.05), None);
    assert_eq!(seeds_needed(1e-9, 1.0, 0.05), None);
}

#[test]
fn accelerated_intervals_are_those_of_scipy() {
    let fixtures: Value =
        serde_json::from_str(include_str!("fixtures/bootstrap.json")).expect("fixtures");
    for case in cases(&fixtures, "cases") {
        let resampled = Resampled {
            value: case["value"].as_f64().expect("a number"),
            bootstrap: numbers(&case["draws"]),
            jackknife: numbers(&case["jackknife"]),
            half_sample: Vec::new(),
        };
        for interval in case["intervals"].as_array().expect("intervals") {
            let [level, low, high] = numbers(interval)[..] else { panic!("{interval}") };
            let ours = resampled.interval(level).expect("draws");
            for (ours, theirs) in [(ours.0, low), (ours.1, high)] {
                assert!((ours - theirs).abs() <= 1e-9 * theirs.abs(), "{ours} for {theirs}");
            }
        }
    }
}
