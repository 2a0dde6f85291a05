//! The table of scores: one in all forms, of metrics of one's own too, and of rows that compare.

use crate::{
    numbers::{csv_cells, parquet_cells},
    plans::json,
    sets::ready,
    study::{SMALL, Study},
    tones,
};
use cache::{Kind, Table};
use serde_json::Value;
use std::collections::BTreeMap;

/// A small study whose row is made for each of two seeds, with a row that no seed changes and two
/// rows of one title.
pub const SWEPT: &str = "name: small
seeds: [3, 5]
sweep: { grid: { groups.clusters: [2, 4] } }
steps:
  clips: { op: audio_folder, path: data }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.25, n_fft: 256, hop_length: 128, n_mels: 16 }
  pca: { op: pca, in: mel, components: 3, seed: 0 }
  groups: { op: kmeans, in: pca, clusters: 3, n_init: 1, init: random }
  tree: { op: agglomerative, in: pca, clusters: 3, linkage: ward }
  kmeans: { op: metrics, in: { features: pca, clusters: groups, truth: clips.labels } }
  ward: { op: metrics, in: { features: pca, clusters: tree, truth: clips.labels } }
  ward_mel: { op: metrics, in: { features: mel, clusters: tree, truth: clips.labels } }
report:
  table:
    - { row: K-Means, scores: kmeans }
    - { row: Ward, scores: ward }
    - { row: Ward, scores: ward_mel }
";

/// The cells of the first table of a text whose rows are lines with bars, without marks.
fn cells(text: &str, bar: &str, end: &str) -> Vec<Vec<String>> {
    let plain = |cell: &str| {
        let mut cell = cell.trim().trim_end_matches(end).to_owned();
        for (from, to) in
            [("**", ""), ("\\textbf{", ""), ("}", ""), ("{", ""), ("$", ""), ("&lt;", "<")]
        {
            cell = cell.replace(from, to);
        }
        cell.replace("\\pm", "±").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let lines = text.lines().filter(|line| line.contains(bar));
    lines.map(|line| line.trim_matches('|').split(bar).map(plain).collect()).collect()
}

/// A page without its tags, a line a row of a table, bars between cells.
fn page_cells(html: &str) -> Vec<Vec<String>> {
    let rows = html.split("<tr").skip(1).map(|row| row.split("</tr>").next().unwrap_or_default());
    let text = |cell: &str| {
        let mut text = String::new();
        let mut inside = true;
        for letter in cell.chars() {
            match letter {
                '<' => inside = false,
                '>' => inside = true,
                _ if inside => text.push(letter),
                _ => {}
            }
        }
        text.replace("&lt;", "<").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let cell = |row: &str| {
        row.split("<td").skip(1).map(|it| text(&format!("<td{it}"))).collect::<Vec<_>>()
    };
    rows.map(cell).filter(|row| !row.is_empty()).collect()
}

#[test]
fn every_form_of_the_table_is_the_same() {
    let study = Study::new().pipeline(SWEPT);
    tones::fill(&study, 4);
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let run = "runs/small/latest";
    let markdown = study.read(&format!("{run}/report.md"));
    let table: Vec<_> = cells(&markdown, " | ", " |")
        .into_iter()
        .filter(|row| row.len() == 7 && (row[0].starts_with("K-Means") || row[0] == "Ward"))
        .collect();
    let titles: Vec<&str> = table.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(titles, ["K-Means (clusters = 2)", "K-Means (clusters = 4)", "Ward", "Ward"]);
    assert!(!table.concat().iter().any(|cell| cell.ends_with("± 0.000")), "{table:?}");
    assert!(!table[2..].concat().iter().any(|cell| cell.contains('±')), "{table:?}");
    // The page and the paper.
    let page = page_cells(&study.read(&format!("{run}/report.html")));
    for row in &table {
        assert!(page.contains(row), "{row:?} is not in the page: {page:?}");
    }
    let latex = cells(&study.read(&format!("{run}/report.tex")), " & ", "\\\\");
    for row in &table {
        let found = latex.iter().any(|it| {
            it.iter().zip(row).all(|(tex, md)| {
                tex.replace("--", "–").replace("\\textless", "<").replace(' ', "")
                    == md.replace(' ', "")
            })
        });
        assert!(found, "{row:?} is not in {latex:?}");
    }
    // The terminal, as wide as it is: the same rows under the same numbers.
    let shown = study.engine(&["show", "latest"]).stdout;
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let heads = ["Silhouette ↑", "CH ↑", "DB ↓", "ARI ↑", "NMI ↑", "Purity ↑"];
    for (at, row) in table.iter().enumerate() {
        let cells = heads.iter().zip(&row[1..]).map(|(head, cell)| format!("{head} {cell}"));
        // A sweep has a column for its parameter.
        let (title, value) = match row[0].strip_prefix("K-Means (clusters = ") {
            Some(value) => ("K-Means", value.trim_end_matches(')')),
            None => (row[0].as_str(), "–"),
        };
        let axis = std::iter::once(format!("groups.clusters {value}"));
        let cells = axis.chain(cells).collect::<Vec<_>>();
        let narrow = format!("r{} {title} {}", at + 1, cells.join(", "));
        let wide = format!("r{} {title} {value} {}", at + 1, row[1..].join(" "));
        assert!(shown.contains(&narrow) || shown.contains(&wide), "`{wide}` is not in {shown}");
    }
    // A cell by its number, and by the title of its row where that is the title of one.
    for (at, row) in table.iter().enumerate() {
        let why = study.engine(&["why", "latest", &format!("r{}.ari", at + 1)]).stdout;
        assert!(why.starts_with(&format!("ARI {}\n", row[4])), "{why}");
        let by_title = study.engine(&["why", "latest", &format!("{}.ari", row[0])]);
        match at {
            0 | 1 => assert_eq!(by_title.stdout, why, "{}", by_title.stderr),
            _ => {
                assert_eq!(by_title.code, 2);
                let said = "`Ward` is the title of r3 and r4: write one of these";
                assert!(by_title.stderr.contains(said), "{}", by_title.stderr);
            }
        }
    }
    // The numbers in full: means of the file are what is shown.
    let csv = study.read(&format!("{run}/results.csv"));
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let mut draws: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for row in reader.records().map(|row| row.expect("a row")).filter(|row| &row[2] == "ari") {
        let place =
            (row[1].split(['{', ',']).next().expect("a step").to_owned(), row[7].to_owned());
        draws.entry(place).or_default().push(row[3].parse().expect("a number"));
    }
    let mean = |step: &str, point: &str| {
        let draws = &draws[&(step.to_owned(), point.to_owned())];
        format!("{:.3}", draws.iter().sum::<f64>() / draws.len() as f64)
    };
    let means = [
        mean("kmeans", "groups.clusters=2"),
        mean("kmeans", "groups.clusters=4"),
        mean("ward", ""),
        mean("ward_mel", ""),
    ];
    for (row, mean) in table.iter().zip(&means) {
        assert_eq!(row[4].split(' ').next(), Some(mean.as_str()), "{row:?}");
    }
    assert_eq!(parquet_cells(&study), csv_cells(&study));
    // Comparing a run with itself, and listing it.
    let diff = json(&study, &["diff", "latest", "latest", "--json"]);
    let rows: Vec<&str> = diff["cells"]
        .as_array()
        .expect("cells")
        .iter()
        .filter(|cell| cell["metric"] == "ari")
        .map(|cell| cell["row"].as_str().expect("a title"))
        .collect();
    assert_eq!(rows, titles);
    for (cell, mean) in diff["cells"]
        .as_array()
        .expect("cells")
        .iter()
        .filter(|cell| cell["metric"] == "ari")
        .zip(&means)
    {
        assert_eq!(&format!("{:.3}", cell["a"]["mean"].as_f64().expect("a number")), mean);
        assert_eq!(cell["difference"]["mean"], 0.0);
        assert_eq!(cell["difference"]["half_interval"], Value::Null);
    }
    let best = &json(&study, &["runs", "--json"])[0]["best"];
    let at = titles.iter().position(|title| best["row"] == *title).expect("a row of the table");
    assert_eq!(&format!("{:.3}", best["mean"].as_f64().expect("a number")), &means[at]);
}

/// Scores of a metric of one's own.
fn own_scores(study: &Study) {
    let table = Table::new()
        .with_text("metric", ["lost", "kept"])
        .with_reals("value", vec![0.25, 7.5])
        .with_text("title", ["Lost clips", ""])
        .with_text("direction", ["minimize", ""])
        .with_ints("decimals", vec![1, 2]);
    ready(study, "ready.parquet", Kind::Scores, table);
}

#[test]
fn a_metric_of_ones_own_is_a_column() {
    let scores = "  retrieved: { op: command, command: [cp, ready.parquet, \"{out.x}\", \"{in.of}\"], in: { of: pca }, outputs: { x: scores } }\n";
    let mut study =
        Study::new().pipeline(&SMALL.replace("report:\n", &format!("{scores}report:\n")));
    tones::fill(&study, 4);
    own_scores(&study);
    // A program that reads and copies: `cp` would take the last name for a folder.
    study.edit(
        "[cp, ready.parquet, \"{out.x}\", \"{in.of}\"]",
        "[sh, -c, \"cp ready.parquet $0\", \"{out.x}\", \"{in.of}\"]",
    );
    study.edit("report:\n", "report:\n  columns: [v_measure, ari, retrieved.lost]\n");
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report = study.read("runs/small/latest/report.md");
    assert!(report.contains("| | V-measure ↑ | ARI ↑ | Lost clips ↓ |"), "{report}");
    assert!(report.contains("| PCA + K-Means | 1.000 | 1.000 | 0.2 |"), "{report}");
    let why = study.engine(&["why", "latest", "r1.retrieved.lost"]);
    assert!(why.stdout.starts_with("Lost clips 0.2\n"), "{}{}", why.stdout, why.stderr);
    assert!(
        why.stdout.contains("retrieved: command") && why.stdout.contains("value    0.25"),
        "{}",
        why.stdout
    );
    for cell in ["r1c3", "PCA + K-Means.Lost clips", "r1.lost_clips"] {
        assert_eq!(study.engine(&["why", "latest", cell]).stdout, why.stdout, "{cell}");
    }
    // As rows of the table they need no column to be named.
    study.edit("  columns: [v_measure, ari, retrieved.lost]\n", "");
    study.edit("scores: scores }\n", "scores: scores }\n    - { row: Mine, scores: retrieved }\n");
    assert_eq!(study.run().code, 0);
    let report = study.read("runs/small/latest/report.md");
    assert!(report.contains("| Lost clips ↓ | kept |"), "{report}");
    assert!(report.contains("| Mine | – | – | – | – | – | – | 0.2 | 7.50 |"), "{report}");
}

#[test]
fn columns_that_cannot_be_are_refused_at_once() {
    let mut study = tones::three();
    study.edit(
        "report:\n",
        "report:\n  columns: [arii, ari, ari, nosuch.ari, pca.ari, scores.map]\n",
    );
    let said = study.run();
    assert_eq!(said.code, 2, "{}", said.stderr);
    for words in [
        "there is no metric `arii`",
        "the column `ari` is given twice",
        "there is no step `nosuch`",
        "scores belong here, but step `pca`",
        "there is no metric `map`",
    ] {
        assert!(said.stderr.contains(words), "`{words}` is not in {}", said.stderr);
    }
}

/// A study of a program alone, which has scores at each point of two variables.
fn own_search(sweep: &str) -> Study {
    let script = "cp ready$ENGINE_PARAMS.parquet $0";
    let study = Study::new().pipeline(&format!(
        "name: small
vars: {{ a: 1, b: 1 }}
sweep: {sweep}
steps:
  mine: {{ op: command, command: [sh, -c, \"{script}\", \"{{out.x}}\"], params: {{ a: \"${{a}}\", b: \"${{b}}\" }}, outputs: {{ x: scores }} }}
report:
  table: [{{ row: Mine, scores: mine }}]
  figures: [{{ figure: sweep_heatmap, metric: lost }}]
"
    ));
    for (a, b, lost) in [(1, 1, 0.4), (1, 2, 0.3), (2, 1, 0.2), (2, 2, 0.1)] {
        let table = Table::new()
            .with_text("metric", ["lost"])
            .with_reals("value", vec![lost])
            .with_text("title", ["Lost clips"])
            .with_text("direction", ["minimize"]);
        ready(&study, &format!("ready{{\"a\":{a},\"b\":{b}}}.parquet"), Kind::Scores, table);
    }
    study
}

#[test]
fn a_metric_of_ones_own_is_a_grid_and_a_figure() {
    let study = own_search("{ grid: { a: [1, 2], b: [1, 2] } }");
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report = study.read("runs/small/latest/report.md");
    for words in
        ["**Mine**: Lost clips (one seed).", "| Lost clips ↓ |", "The best Lost clips is 0.100"]
    {
        assert!(report.contains(words), "`{words}` is not in {report}");
    }
    let drawn = study.read("runs/small/latest/figures/01-sweep-heatmap.svg");
    assert!(drawn.contains("Lost clips"), "{drawn}");
}

#[test]
fn a_metric_of_ones_own_is_an_objective() {
    let study = own_search(
        "{ tpe: { n: 3, start: 2, over: { a: [1, 2], b: [1, 2] } }, objective: { metric: mine.lost, direction: minimize } }",
    );
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let sweep = study.record(&said).sweep.expect("a sweep");
    assert_eq!(sweep.objective.as_deref(), Some("mine.lost"));
    let best = &json(&study, &["runs", "--json"])[0]["best"];
    assert_eq!(best["metric"], "lost");
}

#[test]
fn a_search_by_halving_shows_the_last_rung_of_each_point() {
    let model = "  vae: { op: beta_vae, in: norm, channels: [4], latent: 2, beta: 4, epochs: 1, batch_size: 4 }\n";
    let text = SMALL
        .replace("  groups:", &format!("{model}  groups:"))
        .replace("kmeans, in: pca", "kmeans, in: vae")
        .replace("features: pca", "features: vae");
    let study = Study::new().pipeline(&format!(
        "{text}  figures: [{{ figure: sweep_heatmap, metric: silhouette, x: vae.beta, y: vae.latent }}]
sweep:
  halving: {{ n: 4, resource: vae.epochs, from: 1, to: 4, eta: 2, over: {{ vae.beta: [1, 9], vae.latent: [2, 3] }} }}
  objective: {{ metric: scores.silhouette }}
"
    ));
    tones::fill(&study, 4);
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let record = study.record(&said);
    assert_eq!(
        record.sweep.as_ref().and_then(|sweep| sweep.resource.as_deref()),
        Some("vae.epochs")
    );
    let points = |row: &cache::record::Row| format!("{:?}", &row.point[..2]);
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for row in &record.table {
        let epochs = row.point[2].1.as_u64().expect("epochs");
        let most = last.entry(points(row)).or_default();
        *most = epochs.max(*most);
    }
    assert!(record.table.len() > last.len(), "some points have several rungs");
    let shown = study.engine(&["show"]).stdout;
    let rows = shown.lines().filter(|line| line.contains("PCA + K-Means")).count();
    assert_eq!(rows, last.len(), "{shown}");
    let csv = study.read("runs/small/latest/results.csv");
    let lines = csv::Reader::from_reader(csv.as_bytes());
    let cells = lines.into_deserialize().map(|line| line.expect("a line of a table"));
    let rungs = cells.filter(|line: &BTreeMap<String, String>| line["metric"] == "silhouette");
    let mut epochs: Vec<u64> =
        rungs.map(|line| line["vae.epochs"].parse().expect("a number")).collect();
    let mut expected: Vec<u64> = last.into_values().collect();
    epochs.sort_unstable();
    expected.sort_unstable();
    assert_eq!(epochs, expected);
}
