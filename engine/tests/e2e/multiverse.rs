//! A multiverse: the table shows one specification, the report says what the others give.

use crate::{study::Study, tones};

fn study() -> Study {
    let mut study = tones::three();
    study.edit(
        "report:\n",
        "  tree: { op: agglomerative, in: pca, clusters: 3 }\n  ward: { op: metrics, in: { features: pca, clusters: tree, truth: clips.labels } }\nmultiverse:\n  norm.scope: [per_clip]\n  pca.components: [2, 3]\n  clusters: [2, 3, 4]\nreport:\n",
    );
    study.edit("scores: scores }", "scores: scores }\n    - { row: PCA + Ward, scores: ward }");
    study
}

#[test]
fn the_table_shows_the_pipeline_as_it_is_written() {
    let study = study();
    study.write("study.yaml", study.text());
    let plan = study.engine(&["plan", "study.yaml"]);
    let said = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "only for the 11 specifications of the multiverse that the table does not show";
    assert!(plan.code == 0 && said.contains(expected), "{}{}", plan.stdout, plan.stderr);

    study.ran();
    let report = study.read("runs/small/latest/report.md");
    let rows =
        |text: &str, title: &str| text.lines().filter(|line| line.starts_with(title)).count();
    let (table, rest) =
        report.split_once("## Choices that should not matter").expect("the section");
    assert_eq!(
        rows(table.split("## Results").nth(1).unwrap_or(table), "| PCA + K-Means |"),
        1,
        "{table}"
    );
    assert!(rest.contains("scope = global, components = 3, clusters = 3"), "{rest}");
    assert!(rest.contains("It is one of 12"), "{rest}");
    // K-Means depends on all three choices, Ward not on the number of clusters of the other.
    assert!(rest.contains(" of 12 |") && rest.contains(" of 4 |"), "{rest}");
    assert!(rest.contains(" of 12 specifications ("), "{rest}");
    assert!(rest.contains("specification-curve"), "{rest}");
    let results = study.read("runs/small/latest/results.csv");
    let all = study.read("runs/small/latest/multiverse.csv");
    assert!(all.lines().count() > 4 * results.lines().count(), "{all}");

    // The numbers of the table are those of the pipeline without a multiverse.
    let text = study.text().to_owned();
    let (before, after) = text.split_once("multiverse:\n").expect("the section");
    let plain = format!("{before}{}", &after[after.find("report:").expect("a report")..]);
    let mut alone = tones::three();
    let all = alone.text().to_owned();
    alone.edit(&all, &plain);
    alone.ran();
    let numbers = |csv: &str| {
        // The names of steps differ, and have commas between their braces.
        let fields = |line: &str| {
            let mut quoted = false;
            let part = |letter: char| {
                quoted ^= letter == '"';
                letter == ',' && !quoted
            };
            line.split(part).map(str::to_owned).collect::<Vec<_>>()
        };
        let own = csv.lines().map(|line| [0, 2, 3].map(|at| fields(line)[at].clone()));
        own.collect::<Vec<_>>()
    };
    assert_eq!(numbers(&alone.read("runs/small/latest/results.csv")), numbers(&results));
}

#[test]
fn a_faulty_multiverse_is_shown_where_it_is_written() {
    let refused = |from: &str, to: &str, expected: &str| {
        let mut study = study();
        study.edit(from, to);
        let said = study.run();
        assert_eq!(said.code, 2, "{}", said.stderr);
        let text = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(expected), "{}", said.stderr);
    };
    refused(
        "norm.scope: [per_clip]",
        "norm.scope: [global]",
        "`norm.scope` has no value but that of the pipeline",
    );
    refused("norm.scope", "norn.scope", "there is no step `norn`");
    refused(
        "norm.scope: [per_clip]",
        "mel.fmax: [3000]",
        "the pipeline gives no value to `mel.fmax`",
    );
    refused(
        "multiverse:\n",
        "sweep: { grid: { pca.components: [2] } }\nmultiverse:\n",
        "either a `sweep` or a `multiverse`",
    );
}
