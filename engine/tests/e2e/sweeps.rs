//! Sweeps, seeds and searches: what runs, what is shared, and what the report says of it.

use crate::{
    study::{CommandOutput, SMALL, Study},
    tones,
};
use cache::record::{RunStatus, StepStatus};

/// The small study with a model, and something that varies.
fn study(more: &str) -> Study {
    let model = "  vae: { op: beta_vae, in: norm, channels: [4], latent: 2, beta: 4, epochs: 1, batch_size: 4 }\n";
    let text = SMALL
        .replace("  groups:", &format!("{model}  groups:"))
        .replace("kmeans, in: pca", "kmeans, in: vae")
        .replace("features: pca", "features: vae");
    let study = Study::new().pipeline(&format!("{}{more}", text.replace("PCA", "VAE")));
    tones::fill(&study, 4);
    study
}

/// The number of these steps that belong to a step of the file.
fn of(steps: &[String], step: &str) -> usize {
    steps.iter().filter(|name| name.split('{').next() == Some(step)).count()
}

fn report(study: &Study) -> String {
    study.read("runs/small/latest/report.md")
}

#[test]
fn a_sweep_decodes_once_and_a_wider_one_repeats_nothing() {
    let study = study("seeds: [0, 1]\nsweep: { grid: { vae.beta: [1, 4] } }\n");
    let ran = study.ran();
    let counts = ["clips", "mel", "norm", "vae", "groups", "scores"].map(|step| of(&ran, step));
    assert_eq!(counts, [1, 1, 1, 4, 4, 4]);
    assert_eq!(study.ran(), [""; 0]);
    let wider = study.ran_with(&["--set", "sweep.grid.vae.beta=[1, 4, 9]"]);
    assert_eq!((of(&wider, "vae"), of(&wider, "scores"), wider.len()), (2, 2, 6), "{wider:?}");
    let seeds = study.ran_with(&["--set", "seeds=[0, 1, 2]"]);
    assert!(seeds.iter().all(|step| step.contains("seed=2")), "{seeds:?}");
    // The study of one point finds what the sweep has made.
    let mut one = study;
    one.edit("seeds: [0, 1]\nsweep: { grid: { vae.beta: [1, 4] } }\n", "");
    assert_eq!(one.ran(), [""; 0]);
}

#[test]
fn a_step_is_named_with_or_without_its_variant() {
    let study = study("seeds: [0, 1]\nsweep: { grid: { vae.beta: [1, 4] } }\n");
    let only = study.ran_with(&["--only", "vae{beta=4,seed=1}"]);
    assert_eq!(only, ["clips", "mel", "norm", "vae{beta=4,seed=1}"]);
    assert_eq!(of(&study.ran_with(&["--only", "vae"]), "vae"), 3);
    let forced = study.ran_with(&["--only", "vae", "--force", "vae"]);
    assert_eq!((of(&forced, "vae"), forced.len()), (4, 4));
}

#[test]
fn what_fails_in_one_variant_leaves_the_others() {
    let study = study("seeds: [0, 1]\nsweep: { grid: { groups.clusters: [2, 3, 500] } }\n");
    let said = study.run();
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert_eq!(study.record(&said).status, RunStatus::Partial);
    assert_eq!(of(&study.steps_that(&said, StepStatus::Failed), "groups"), 2);
    assert_eq!(of(&study.steps_that(&said, StepStatus::Ran), "scores"), 4);
    let report = report(&study);
    assert!(report.contains("VAE + K-Means (clusters = 500) has no scores"), "{report}");
    let fast = study.run_with(&["--fail-fast"]);
    assert_ne!((fast.code, study.record(&fast).status), (3, RunStatus::Partial), "{}", fast.stderr);
}

#[test]
fn the_report_says_what_the_seeds_bear_out() {
    let study = study("seeds: 3\nsweep: { grid: { vae.beta: [1, 4], vae.latent: [2, 3] } }\n");
    let mut study = study;
    study.edit("report:\n", "report:\n  companions: true\n");
    assert_eq!(study.run().code, 0);
    let report = report(&study);
    for words in [
        "ARI (mean ± half-width of the 95 % t confidence interval over n = 3 seeds), with the active latent units below",
        "| beta = 1 | ",
        " of 3 |",
        "VAE + K-Means (beta = 4, latent = 3)",
        "comparisons of this table",
        "Stability",
        "is selected with the labels",
        "12 variants of 8 steps make 96 steps",
        "ARI, shuffled",
        "ARI, k = 6",
    ] {
        assert!(report.contains(words), "`{words}` is not in\n{report}");
    }
    let csv = study.read("runs/small/latest/results.csv");
    let row = csv.lines().find(|line| line.contains("latent=3") && line.contains(",ari,"));
    assert!(row.is_some_and(|row| row.ends_with(",\"vae.beta=1 vae.latent=3\",0,1,3")), "{csv}");
    assert!(
        csv.lines().next().is_some_and(|head| head.ends_with(",seed,\"vae.beta\",\"vae.latent\"")),
        "{csv}"
    );
}

fn ran(study: &Study, said: &CommandOutput) -> Vec<String> {
    assert_eq!(said.code, 0, "{}", said.stderr);
    study.steps_that(said, StepStatus::Ran)
}

#[test]
fn a_search_goes_on_where_it_was() {
    let study = study(
        "sweep:\n  tpe: { n: 6, start: 3, batch: 2, over: { vae.beta: \"loguniform(0.1, 100)\" } }\n  \
         objective: { metric: scores.ari, direction: maximize }\n",
    );
    let first = ran(&study, &study.run());
    assert_eq!((of(&first, "vae"), of(&first, "mel")), (6, 1));
    assert_eq!(study.ran(), [""; 0]);
    let wider = study.ran_with(&["--set", "sweep.tpe.n=8"]);
    assert_eq!(of(&wider, "vae"), 2, "{wider:?}");
    assert!(
        report(&study).contains("by scores.ari is selected with the labels"),
        "{}",
        report(&study)
    );
}

#[test]
fn halving_trains_the_better_half_longer() {
    let study = study(
        "sweep:\n  halving: { n: 4, resource: vae.epochs, from: 1, to: 4, eta: 2, over: { vae.beta: \
         \"loguniform(0.1, 100)\" } }\n  objective: { metric: scores.silhouette }\n",
    );
    let said = study.run();
    let models = ran(&study, &said).into_iter().filter(|step| step.starts_with("vae{"));
    let of_rung = |epochs: usize, models: &[String]| {
        models.iter().filter(|name| name.ends_with(&format!("epochs={epochs}}}"))).count()
    };
    let models: Vec<String> = models.collect();
    assert_eq!([1, 2, 4].map(|epochs| of_rung(epochs, &models)), [4, 2, 1], "{models:?}");
    assert_eq!(study.ran(), [""; 0]);
}

/// Davies and Bouldin's index is better where it is smaller, and the scores say so.
#[test]
fn a_search_looks_for_what_its_metric_calls_better() {
    let sweep = "sweep:
  objective: { metric: scores.davies_bouldin }
  halving: { n: 3, resource: groups.max_iter, from: 20, to: 40, eta: 3, over: { groups.clusters: [2, 3, 5] } }\n";
    let mut study = Study::new().pipeline(&format!("{SMALL}{sweep}"));
    tones::fill(&study, 4);
    let best = |study: &Study| {
        let said = study.run();
        assert_eq!(said.code, 0, "{}", said.stderr);
        let steps = study.record(&said).steps;
        let last = steps.iter().filter(|it| it.op == "kmeans" && it.params["max_iter"] == 40);
        let last: Vec<u64> = last.filter_map(|it| it.params["clusters"].as_u64()).collect();
        assert_eq!(last.len(), 1, "{last:?}");
        let value = |clusters: u64| {
            let one = Study::new().pipeline(&SMALL.replace(
                "in: pca, clusters: \"${clusters}\"",
                &format!("in: pca, max_iter: 20, clusters: {clusters}"),
            ));
            tones::fill(&one, 4);
            assert_eq!(one.run().code, 0);
            let csv = one.read("runs/small/latest/results.csv");
            let line = csv.lines().find(|line| line.contains("davies_bouldin")).expect("a line");
            let value = line.split("davies_bouldin,").nth(1).expect("a value");
            value.split(',').next().and_then(|it| it.parse::<f64>().ok()).expect("a number")
        };
        (last[0], [2, 3, 5].map(|clusters| (clusters, value(clusters))), said.stderr)
    };
    let (chosen, values, said) = best(&study);
    let by = |(_, a): &&(u64, f64), (_, b): &&(u64, f64)| a.total_cmp(b);
    assert_eq!(chosen, values.iter().min_by(by).expect("values").0, "{values:?}");
    assert!(!said.contains("the objective"), "{said}");
    study.edit("davies_bouldin }", "davies_bouldin, direction: maximize }");
    let (chosen, values, said) = best(&study);
    assert_eq!(chosen, values.iter().max_by(by).expect("values").0, "{values:?}");
    let note =
        "the objective maximizes `scores.davies_bouldin`, of which smaller values are better";
    let plain = said.replace('|', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains(note), "{said}");
}
