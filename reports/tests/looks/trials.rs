//! Figures of the trials of a sweep, and the settings that every figure has.

use crate::{
    figures::golden,
    study::{Study, scattered},
};
use cache::{Artifact, Kind, Table, record::Row};
use serde_json::json;

/// A sweep over two parameters of a model.
fn swept() -> Study {
    let mut study = Study::new();
    for (at, (beta, latent)) in
        [1.0, 2.0, 4.0, 8.0].iter().flat_map(|b| [8, 16, 32].map(|l| (*b, l))).enumerate()
    {
        let step = format!("scores{{{at}}}");
        let ari = 0.3 / (1.0 + beta) + f64::from(latent) * 0.002;
        let table = Table::new()
            .with_text("metric", ["ari", "nmi"])
            .with_reals("value", vec![ari, ari * 1.4])
            .with_text("note", ["", ""]);
        study.step(&step, Artifact::table(Kind::Scores, table));
        study.record.table.push(Row {
            title: "β-VAE + K-Means".to_owned(),
            scores: step,
            point: vec![
                ("vae.beta".to_owned(), json!(beta)),
                ("vae.latent".to_owned(), json!(latent)),
            ],
            ..Row::default()
        });
    }
    study
}

#[test]
fn a_sweep_is_a_heatmap() {
    let study = swept();
    golden(&study, "sweep_heatmap", "sweep_heatmap", &[], json!({"metric": "ari"}));
    let refused = study.draw("sweep_heatmap", &[], json!({"x": "vae.bata"}));
    assert_eq!(
        refused.expect_err("no such parameter"),
        "the sweep has no parameter `vae.bata`; it has vae.beta, vae.latent"
    );
}

#[test]
fn trials_are_lines_and_marks() {
    let study = swept();
    let metric = json!({"metric": "ari"});
    let drawn = golden(&study, "parallel_coordinates", "parallel_coordinates", &[], metric);
    let lines = drawn.svg.lines().filter(|line| line.contains("stroke-width=\"1.8\""));
    assert_eq!(lines.count(), 12, "a line for each trial");
    let options = json!({"x": "vae.beta", "y": "ari"});
    let drawn = golden(&study, "scatter_of_trials", "scatter_of_trials", &[], options);
    assert_eq!(drawn.svg.matches("h0").count(), 12, "a mark for each trial");
    let metrics = study.draw("scatter_of_trials", &[], json!({"x": "nmi", "y": "ari"}));
    assert_eq!(metrics.expect("drawn").title, "nmi and ari of each trial");
    let refused = study.draw("scatter_of_trials", &[], json!({"x": "vae.bata"}));
    assert_eq!(
        refused.expect_err("no such parameter"),
        "no row has the parameter or the metric `vae.bata`; the parameters are vae.beta, vae.latent"
    );
}

#[test]
fn figures_have_the_size_the_colours_and_the_names_that_are_asked_for() {
    let study = scattered();
    let inputs = [("of", &["map"] as &[&str]), ("color", &["clips"])];
    let options = json!({
        "width": 85.0, "height": 70.0, "font_size": 7.0, "palette": "muted", "format": "pdf",
        "labels": {"cel": "cello", "instrument": "family"},
    });
    let plain = study.draw("scatter", &inputs, json!({})).expect("drawn");
    let styled = study.draw("scatter", &inputs, options).expect("drawn");
    assert!(plain.pdf.is_none() && plain.svg.contains("#0072b2") && plain.svg.contains(">cel<"));
    assert!(styled.svg.contains("width=\"321.3\" height=\"264.6\""), "85 mm by 70 mm at 96 dpi");
    assert!(styled.svg.contains("#332288") && !styled.svg.contains("#0072b2"));
    assert!(styled.svg.contains(">cello<") && !styled.svg.contains(">cel<"));
    assert_eq!(styled.title, "UMAP of pca, coloured by family");
    let facts = styled.points.expect("points").facts;
    assert!(facts[0].1.contains(&"cello".to_owned()), "the page says the same");
    let pdf = String::from_utf8_lossy(styled.pdf.as_deref().expect("a PDF")).into_owned();
    assert!(pdf.contains("/MediaBox [0 0 240.9") && pdf.contains(" 198.4"), "in points");
    let narrow = study.draw("scatter", &inputs, json!({"width": 20.0, "font_size": 20.0}));
    let error = narrow.expect_err("no room");
    assert!(
        error.starts_with("its width has to be ") && error.ends_with("of this size"),
        "{error}"
    );
}

#[test]
fn every_kind_has_every_size() {
    let studies = [swept(), scattered()];
    let options = json!({"width": 120.0, "height": 110.0, "font_size": 6.0});
    for (study, figure, inputs) in [
        (&studies[0], "sweep_heatmap", vec![]),
        (&studies[0], "parallel_coordinates", vec![]),
        (&studies[0], "scatter_of_trials", vec![]),
        (&studies[0], "specification_curve", vec![]),
        (
            &studies[1],
            "scatter",
            vec![("of", &["map"] as &[&str]), ("color", &["clips", "groups"])],
        ),
    ] {
        let drawn = study.draw(figure, &inputs, options.clone()).expect("drawn");
        assert!(
            drawn.svg.contains("width=\"453.5\" height=\"415.7\""),
            "{figure}: {}",
            &drawn.svg[..200]
        );
    }
}
