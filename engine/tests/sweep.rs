//! Sweeps and seeds: which steps a pipeline has for all its variants.

use cache::metric::Direction;
use engine::{
    model::{Pipeline, Step},
    plan::keys::key_of,
    spec::{self, load_with},
    ui::diagnostic::{Diagnostic, Diagnostics},
};
use std::{collections::BTreeSet, path::Path};

const STEPS: &str = "vars: { latent: 8, beta: 4 }
steps:
  clips: { op: synth, clips_per_class: 4, seed: 0 }
  mel: { op: log_mel, in: clips }
  norm: { op: normalize, in: mel }
  pca: { op: pca, in: norm, components: \"${latent}\" }
  vae: { op: beta_vae, in: norm, latent: \"${latent}\", beta: \"${beta}\", epochs: 1 }
  groups: { op: kmeans, for: { x: [pca, vae] }, in: \"${x}\", clusters: 5 }
  scores: { op: metrics, for: { x: [pca, vae] }, in: { features: \"${x}\", clusters: \"groups@${x}\", truth: clips.labels } }
report:
  uncertainty: seeds
  table:
    - { row: \"PCA(${latent})\", scores: scores@pca }
    - { row: VAE, scores: scores@vae }
";

fn try_load(more: &str, sets: &[&str]) -> Result<Pipeline, Diagnostics> {
    let overrides: Vec<_> = sets.iter().map(|set| set.parse().expect("NAME=VALUE")).collect();
    load_with(Path::new("a.yaml"), format!("{STEPS}{more}"), &overrides, ops::OPS, |_| None)
        .map(|(pipeline, _)| pipeline)
}

fn load(more: &str) -> Pipeline {
    try_load(more, &[]).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn names(pipeline: &Pipeline) -> Vec<&str> {
    pipeline.steps.iter().map(|step| step.name.as_str()).collect()
}

fn of<'p>(pipeline: &'p Pipeline, step: &str) -> Vec<&'p Step> {
    pipeline.steps.iter().filter(|it| it.is_called(step)).collect()
}

#[test]
fn a_single_study_keeps_its_names_and_keys() {
    let pipeline = load("");
    let plain = [
        "clips",
        "mel",
        "norm",
        "pca",
        "vae",
        "groups@pca",
        "groups@vae",
        "scores@pca",
        "scores@vae",
    ];
    assert_eq!(names(&pipeline), plain);
    assert_eq!(pipeline.variants.count, 1);
    let same = try_load("", &["seeds=[0]"]).expect("one seed");
    assert_eq!(names(&same), plain);
    // What was kept before there were sweeps must be found again.
    let input = cache::Digest::of(b"content");
    for (step, expected) in [
        ("clips", r#"{"params":{"clips_per_class":4},"inputs":{},"seed":0}"#),
        ("vae", r#"{"params":{"epochs":1,"latent":8},"inputs":{"features":"CONTENT"},"seed":0}"#),
        ("mel", r#"{"params":{},"inputs":{"clips":"CONTENT"},"seed":null}"#),
    ] {
        let key = key_of(of(&pipeline, step)[0], &[], |_, _| Some(input)).expect("a key");
        let key = serde_json::to_value(key).expect("JSON");
        let (params, inputs, seed) = (&key["params"], &key["inputs"], &key["seed"]);
        let held = format!(r#"{{"params":{params},"inputs":{inputs},"seed":{seed}}}"#);
        assert_eq!(held.replace(&input.to_string(), "CONTENT"), expected);
    }
    // A variant of a sweep has the key of the study that says the same.
    let swept = load("seeds: [0, 1]\nsweep: { grid: { vae.beta: [1, 4] } }\n");
    let key = |step: &Step| key_of(step, &[], |_, _| Some(input)).expect("a key").digest();
    assert_eq!(key(of(&swept, "vae{beta=4,seed=0}")[0]), key(of(&pipeline, "vae")[0]));
}

#[test]
fn variants_share_what_they_can() {
    let pipeline = load("seeds: 2\nsweep: { grid: { vae.beta: [1, 4] } }\n");
    assert_eq!(pipeline.variants.count, 4);
    assert_eq!(pipeline.variants.steps, 4 * 9);
    assert_eq!(
        names(&pipeline),
        [
            "clips",
            "mel",
            "norm",
            "pca{seed=0}",
            "pca{seed=1}",
            "vae{beta=1,seed=0}",
            "vae{beta=1,seed=1}",
            "vae{beta=4,seed=0}",
            "vae{beta=4,seed=1}",
            "groups@pca{seed=0}",
            "groups@pca{seed=1}",
            "groups@vae{beta=1,seed=0}",
            "groups@vae{beta=1,seed=1}",
            "groups@vae{beta=4,seed=0}",
            "groups@vae{beta=4,seed=1}",
            "scores@pca{seed=0}",
            "scores@pca{seed=1}",
            "scores@vae{beta=1,seed=0}",
            "scores@vae{beta=1,seed=1}",
            "scores@vae{beta=4,seed=0}",
            "scores@vae{beta=4,seed=1}",
        ]
    );
    // Each reads its own variant.
    for step in &pipeline.steps {
        let variant = |name: &str| name.split_once('{').map(|(_, rest)| rest.to_owned());
        for input in &step.inputs {
            let source = &pipeline.steps[input.step].name;
            assert!(
                variant(source).is_none_or(|it| Some(it) == variant(&step.name)),
                "{source} -> {}",
                step.name
            );
        }
    }
    assert_eq!(of(&pipeline, "groups").len(), 6);
    assert_eq!(of(&pipeline, "groups@vae").len(), 4);
    assert_eq!(of(&pipeline, "groups@*").len(), 6);
    assert_eq!(of(&pipeline, "vae{beta=4,seed=1}").len(), 1);
    assert_eq!(of(&pipeline, "vae{beta=4,seed=1}")[0].seed, 1);
}

#[test]
fn rows_are_those_of_points_and_seeds() {
    let pipeline = load("seeds: [3, 5]\nsweep: { grid: { latent: [4, 8], vae.beta: [1, 4] } }\n");
    let rows: Vec<_> = pipeline
        .report
        .table
        .iter()
        .map(|row| {
            let point: Vec<_> =
                row.point.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
            format!(
                "{} [{}] {} {}",
                row.title,
                point.join(" "),
                row.seed,
                pipeline.steps[row.scores].name
            )
        })
        .collect();
    assert_eq!(rows.len(), 4 + 8);
    assert_eq!(rows[0], "PCA(latent) [latent=4] 3 scores@pca{latent=4,seed=3}");
    assert_eq!(rows[4], "VAE [latent=4 vae.beta=1] 3 scores@vae{latent=4,beta=1,seed=3}");
    assert_eq!(rows[11], "VAE [latent=8 vae.beta=4] 5 scores@vae{latent=8,beta=4,seed=5}");
}

#[test]
fn what_is_swept_reaches_every_step_it_is_about() {
    // A variable through another variable.
    let text = "seeds: [0]\nsweep: { grid: { latent: [4, 8] } }\n";
    assert_eq!(of(&load(text), "pca").len(), 2);
    // One instance of a `for`, and all of them.
    let one = load("sweep: { grid: { groups@pca.clusters: [3, 5] } }\n");
    assert_eq!((of(&one, "groups@pca").len(), of(&one, "groups@vae").len()), (2, 1));
    let all = load("sweep: { grid: { groups.clusters: \"range(3,6)\" } }\n");
    assert_eq!((of(&all, "groups@pca").len(), of(&all, "groups@vae").len()), (3, 3));
    // What is read can vary, and then only what that depends on counts.
    let read = load("sweep: { grid: { groups@vae.in: [pca, vae], vae.beta: [1, 2] } }\n");
    assert_eq!(
        of(&read, "groups@vae").iter().map(|step| step.name.as_str()).collect::<Vec<_>>(),
        ["groups@vae{in=pca}", "groups@vae{in=vae,beta=1}", "groups@vae{in=vae,beta=2}"]
    );
    // Two parameters of one name are told apart.
    let both = load("sweep: { grid: { pca.seed: [1, 2], vae.seed: [1, 2] } }\n");
    assert!(names(&both).contains(&"vae{vae.seed=2}"), "{:?}", names(&both));
}

#[test]
fn strategies_choose_points() {
    let betas = |more: &str| {
        let pipeline = load(more);
        let of_vae =
            of(&pipeline, "vae").iter().map(|step| step.name.clone()).collect::<BTreeSet<_>>();
        (pipeline.variants.count, of_vae)
    };
    let (count, _) = betas("sweep: { list: [{ vae.beta: 1 }, { vae.beta: 9 }] }\n");
    assert_eq!(count, 2);
    let (count, grid) = betas(
        "sweep: { grid: { vae.beta: [1, 2], vae.latent: [4, 8] }, exclude: [{ vae.beta: 2, vae.latent: 8 }], \
         include: [{ vae.beta: 16, vae.latent: 4 }] }\n",
    );
    assert_eq!(count, 4);
    assert!(grid.contains("vae{beta=16,latent=4}") && !grid.contains("vae{beta=2,latent=8}"));
    for strategy in ["random", "sobol"] {
        let points = |n: usize, seed: usize| {
            betas(&format!(
                "sweep: {{ {strategy}: {{ n: {n}, seed: {seed}, over: {{ vae.beta: \"loguniform(0.1,10)\", vae.latent: [4, 8] }} }} }}\n"
            ))
        };
        let (small, large) = (points(4, 0), points(8, 0));
        assert_eq!((small.0, large.0), (4, 8), "{strategy}");
        assert!(
            small.1.is_subset(&large.1),
            "{strategy}: a wider sweep has the points of a narrower one"
        );
        assert!(points(4, 1).1.is_disjoint(&small.1), "{strategy}: another seed draws others");
    }
}

#[test]
fn the_command_line_changes_a_sweep() {
    let sweep = "sweep: { grid: { vae.beta: [1, 4] } }\n";
    let count = |more: &str, sets: &[&str]| {
        try_load(more, sets)
            .map(|it| it.variants.count)
            .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
    };
    assert_eq!(count(sweep, &["sweep.grid.vae.beta=[1,2,3]"]), 3);
    assert_eq!(count(sweep, &["sweep.grid.vae.latent=[4,8]"]), 4);
    assert_eq!(count("", &["sweep.grid.vae.latent=range(2,6)", "seeds=3"]), 12);
    assert_eq!(count("", &["sweep.random.n=5", "sweep.random.over.vae.beta=uniform(1,2)"]), 5);
    let Err(diagnostics) = try_load(sweep, &["vae.beta=3"]) else { panic!("it had no effect") };
    assert!(diagnostics.to_string().contains("sweep.grid.vae.beta=["), "{diagnostics}");
    assert!(try_load("", &["+depth=3"]).is_ok());
    assert!(try_load("", &["depth=3"]).is_err());
}

#[test]
fn a_long_chain_and_many_variants_end_in_time() {
    let mut text =
        "seeds: 50\nsteps:\n  s0: { op: synth }\n  s1: { op: log_mel, in: s0 }\n".to_owned();
    for at in 2..3000 {
        text.push_str(&format!("  s{at}: {{ op: normalize, in: s{} }}\n", at - 1));
    }
    // Fifty times three thousand steps are more than there is room for: said, not tried.
    let loaded = load_with(Path::new("a.yaml"), text, &[], ops::OPS, |_| None);
    let Err(diagnostics) = loaded else { panic!("too much was taken") };
    assert!(diagnostics.to_string().contains("too many steps"), "{diagnostics}");
}

/// A sweep of the small text over values of `latent`, by the points that it has come to.
fn points_of(sampler: &str, more: &str, results: &spec::Results) -> (Pipeline, Vec<Diagnostic>) {
    let text = format!("{STEPS}sweep: {{ {sampler}{more} }}\n");
    spec::load_searched(Path::new("a.yaml"), text, &[], results).unwrap_or_else(|it| panic!("{it}"))
}

/// Runs a search to its end: what a point scores follows from its labels.
fn searched(
    sampler: &str,
    more: &str,
    score: impl Fn(&[String]) -> f64,
) -> (Vec<Vec<String>>, Vec<Diagnostic>) {
    searched_towards(sampler, more, None, score)
}

/// The same, of a metric that is better in this direction.
fn searched_towards(
    sampler: &str,
    more: &str,
    direction: Option<Direction>,
    score: impl Fn(&[String]) -> f64,
) -> (Vec<Vec<String>>, Vec<Diagnostic>) {
    let objective = ", objective: { metric: scores@vae.ari }";
    let more =
        if more.contains("objective") { more.to_owned() } else { format!("{objective}{more}") };
    let mut results = spec::Results { direction, ..spec::Results::default() };
    for _ in 0..1000 {
        let (pipeline, warnings) = points_of(sampler, &more, &results);
        let search = pipeline.variants.search.expect("a search");
        let points: Vec<Vec<String>> = search.points.into_iter().map(|it| it.0).collect();
        if !search.more {
            return (points, warnings);
        }
        let known = results.points.len();
        results.points.extend(points.iter().map(|point| (point.clone(), Some(score(point)))));
        assert!(results.points.len() > known, "a search that waits for nothing");
    }
    panic!("a search without an end")
}

const THIRTEEN: &str = "over: { vae.latent: \"range(1,14)\" }";

fn exhausted(warnings: &[Diagnostic]) -> Vec<&str> {
    let of_n = |it: &&Diagnostic| it.message.contains("different");
    warnings.iter().filter(of_n).map(|it| it.message.as_str()).collect()
}

#[test]
fn a_search_of_a_small_space_tries_all_of_it_and_says_so() {
    for seed in 0..5 {
        let best = |point: &[String]| if point[0] == "13" { 1.0 } else { 0.0 };
        let tpe = format!("tpe: {{ n: 100, seed: {seed}, {THIRTEEN} }}");
        let (points, warnings) = searched(&tpe, "", best);
        let all: BTreeSet<_> =
            points.iter().map(|it| it[0].parse::<u32>().expect("a number")).collect();
        assert_eq!((points.len(), all), (13, (1..14).collect()));
        assert_eq!(
            exhausted(&warnings),
            [
                "`tpe` asks for 100 points, but only 13 different ones can be drawn: all of them are run"
            ]
        );
        // As long as there are enough points, there are as many as are asked for.
        let (points, warnings) = searched(&tpe.replace("100", "12"), "", best);
        assert_eq!((points.len(), exhausted(&warnings).len()), (12, 0));
    }
}

#[test]
fn drawn_duplicates_are_replaced() {
    for seed in 0..20 {
        for sampler in ["random", "sobol"] {
            for (n, over, expected) in [
                (12, THIRTEEN, 12),
                (13, THIRTEEN, 13),
                (40, THIRTEEN, 13),
                (4, "over: { vae.latent: [2, 4], vae.beta: [1, 2] }", 4),
                (9, "over: { vae.latent: [2, 4], vae.beta: \"uniform(1, 1.003)\" }", 8),
                (3, "over: { vae.channels: [[4], [8], [4, 8]] }", 3),
                (2000, "over: { vae.beta: \"uniform(1, 3)\" }", 2000),
            ]
            .into_iter()
            .filter(|case| case.0 < 2000 || seed == 0)
            {
                let sampler = format!("{sampler}: {{ n: {n}, seed: {seed}, {over} }}");
                let (pipeline, warnings) = points_of(&sampler, "", &spec::Results::default());
                assert_eq!(pipeline.variants.count, expected, "{sampler}");
                assert_eq!(exhausted(&warnings).len(), usize::from(expected < n), "{sampler}");
            }
        }
    }
}

#[test]
fn a_search_replaces_what_is_excluded_or_included_anyway() {
    let more = ", exclude: [{ vae.latent: 3 }, { vae.latent: 4 }], include: [{ vae.latent: 5 }, { vae.latent: 20 }]";
    let score = |point: &[String]| point[0].parse().expect("a number");
    let tpe = format!("tpe: {{ n: 10, start: 4, batch: 2, {THIRTEEN} }}");
    let (points, warnings) = searched(&tpe, more, score);
    let all: BTreeSet<_> =
        points.iter().map(|it| it[0].parse::<u32>().expect("a number")).collect();
    assert_eq!((points.len(), all.len()), (12, 12));
    assert!(!all.contains(&3) && !all.contains(&4) && all.contains(&20), "{all:?}");
    assert!(exhausted(&warnings).is_empty());
    let wider = tpe.replace("n: 10", "n: 11");
    assert_eq!(exhausted(&searched(&wider, more, score).1).len(), 1);
}

#[test]
fn halving_begins_with_different_points() {
    for seed in 0..10 {
        let halving = format!(
            "halving: {{ n: 9, seed: {seed}, resource: vae.epochs, from: 1, to: 9, eta: 3, {THIRTEEN} }}"
        );
        let score = |point: &[String]| point[0].parse().expect("a number");
        let (points, _) = searched(&halving, "", score);
        let rung = |epochs: &str| points.iter().filter(|it| it[1] == epochs).count();
        assert_eq!(["1", "3", "9"].map(rung), [9, 3, 1]);
        let (points, warnings) = searched(&halving.replace("n: 9", "n: 50"), "", score);
        assert_eq!(points.iter().filter(|it| it[1] == "1").count(), 13);
        assert_eq!(exhausted(&warnings).len(), 1);
    }
}

#[test]
fn a_search_goes_where_its_metric_is_better() {
    const HALVING: &str = "halving: { n: 4, resource: vae.epochs, from: 1, to: 2, eta: 4, over: { vae.latent: [1, 2, 3, 4] } }";
    let score = |point: &[String]| point[0].parse().expect("a number");
    let written = |direction: &str| {
        format!(", objective: {{ metric: scores@vae.davies_bouldin, direction: {direction} }}")
    };
    let implied = ", objective: { metric: scores@vae.davies_bouldin }".to_owned();
    for (more, direction, best, warns) in [
        (implied.clone(), None, "4", false),
        (implied.clone(), Some(Direction::Maximize), "4", false),
        (implied, Some(Direction::Minimize), "1", false),
        (written("minimize"), Some(Direction::Minimize), "1", false),
        (written("minimize"), None, "1", false),
        (written("maximize"), Some(Direction::Minimize), "4", true),
    ] {
        let (points, warnings) = searched_towards(HALVING, &more, direction, score);
        let last: Vec<_> = points.iter().filter(|it| it[1] == "2").map(|it| &*it[0]).collect();
        assert_eq!(last, [best], "{more} {direction:?}");
        let said = "the objective maximizes `scores@vae.davies_bouldin`, of which smaller values are better";
        assert_eq!(warnings.iter().any(|it| it.message == said), warns, "{more}: {warnings:?}");
    }
}
