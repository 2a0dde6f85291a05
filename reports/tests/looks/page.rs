//! Whole reports: nothing in them acts that came from outside, equal records give equal bytes, and
//! the page works in a browser.

use crate::{
    browser,
    study::{Study, scattered},
};
use cache::{Artifact, Digest, Kind, Table, record::Row};
use serde_json::json;
use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

/// A name that would act in HTML, Markdown, LaTeX, a table and a shell, and turn the text around.
const HOSTILE: &str = "</title><script>alert(1)</script>|`$x$ & \\input{a} \"'\u{202e}\n# head";

/// A study with two rows and a map, all of whose names are hostile.
fn hostile() -> Study {
    let mut study = scattered();
    for (at, ari) in [0.25, 0.75].into_iter().enumerate() {
        let table = Table::new()
            .with_text("metric", ["ari", "silhouette"])
            .with_reals("value", vec![ari, 1.0 - ari])
            .with_text("note", ["", HOSTILE]);
        let step = format!("scores{at}{HOSTILE}");
        study.step(&step, Artifact::table(Kind::Scores, table));
        study.record.table.push(Row {
            title: format!("{at} {HOSTILE}"),
            scores: step,
            paper: BTreeMap::from([("ari".to_owned(), 0.5)]),
            ..Row::default()
        });
    }
    let skipped = Table::new().with_text("file", [HOSTILE]).with_text("reason", [HOSTILE]);
    study.step("skipped", Artifact::table(Kind::Skipped, skipped));
    let findings = Table::new()
        .with_text("clip_id", [HOSTILE])
        .with_text("label", [HOSTILE])
        .with_text("finding", ["same_file"])
        .with_text("partner", [HOSTILE])
        .with_reals("value", vec![f64::NAN]);
    study.step("audit", Artifact::table(Kind::Findings, findings));
    study.record.pipeline = HOSTILE.to_owned();
    study.record.question = Some(HOSTILE.to_owned());
    study.record.warnings = vec![HOSTILE.to_owned()];
    study.record.command = vec!["engine".to_owned(), HOSTILE.to_owned()];
    let mut figure = Study::figure(
        "scatter",
        &[("of", &["map"][..]), ("color", &["clips", "groups"][..])],
        json!({}),
    );
    figure.title = Some(HOSTILE.to_owned());
    figure.caption = Some(HOSTILE.to_owned());
    study.record.figures = vec![figure, Study::figure(HOSTILE, &[], json!({}))];
    study
}

fn text(report: &reports::Report, name: &str) -> String {
    String::from_utf8(report[name].clone()).expect("UTF-8")
}

#[test]
fn no_name_acts() {
    let study = hostile();
    let report = study.report(study.folder.path());
    let (html, markdown, latex) =
        (text(&report, "report.html"), text(&report, "report.md"), text(&report, "report.tex"));
    for (name, text) in [("html", &html), ("markdown", &markdown), ("latex", &latex)] {
        assert!(!text.contains('\u{202e}'), "{name} turns around");
        // In a page a new line is nothing but a space.
        assert!(name == "html" || !text.contains("\n# head"), "{name} has a line of its own");
    }
    assert!(!html.contains("<script>alert") && !html.contains("</title><"), "a script in HTML");
    // Between backticks and in indented lines nothing acts.
    let lines = markdown.lines().filter(|line| !line.starts_with("    "));
    for text in lines.flat_map(|line| line.split("``").step_by(2)) {
        assert!(!text.contains("<script>alert"), "a script in Markdown: {text}");
    }
    assert!(!latex.contains("\\input{a}") && !latex.contains("$x$"), "a command in LaTeX");
    // A bar would end a cell: every line of a table has as many as its head.
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut head = None;
    for line in markdown.lines() {
        match (line.starts_with('|'), head) {
            (true, None) => head = Some(bars(line)),
            (true, Some(head)) => assert_eq!(bars(line), head, "{line}"),
            (false, _) => head = None,
        }
    }
}

#[test]
fn equal_records_give_equal_bytes() {
    let (one, other) = (hostile(), hostile());
    let render = |study: &Study| study.report(study.folder.path());
    let first = render(&one);
    assert_eq!(first.keys().collect::<Vec<_>>(), render(&other).keys().collect::<Vec<_>>());
    assert!(first == render(&one), "what was kept gives other bytes");
    assert!(first == render(&other), "another store gives other bytes");
    for name in ["report.md", "report.html", "report.tex", "results.csv", "results.parquet"] {
        assert!(first.contains_key(name), "{name}");
    }
    assert!(first.contains_key("figures/01-scatter.svg"));
    assert!(first["figures/01-scatter.png"].starts_with(b"\x89PNG"));
}

#[test]
fn clips_that_are_files_are_heard_unless_it_is_switched_off() {
    let mut study = hostile();
    let folder = study.folder.path().join("data");
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("a \"b\".wav");
    fs::write(&path, b"RIFF").expect("written");
    // A file that is a moment old is not remembered: it may still change.
    std::thread::sleep(std::time::Duration::from_millis(80));
    let (digest, _) = study.store.files().digest(&path).expect("read");
    assert_eq!(digest, Digest::of(b"RIFF"));
    let ids = crate::study::clips(1);
    let clips = Table::new()
        .with_text("clip_id", ids)
        .with_text("audio", [format!("file:{digest}")])
        .with_ints("frames", vec![1]);
    study.step("source", Artifact::table(Kind::Clips, clips));
    let page = |study: &Study| {
        let run = study.folder.path().join("runs/study/1");
        fs::create_dir_all(&run).expect("a folder");
        text(&study.report(&run), "report.html")
    };
    assert!(page(&study).contains("\"../../../data/\""), "the folder of the recordings");
    assert!(page(&study).contains("a%20%22b%22.wav"), "the recording");
    study.record.audio = false;
    assert!(!page(&study).contains("a%20%22b%22.wav"));
}

/// Uses the page as a reader would, and tells what came of it as text of the page.
const READER: &str = r#"<script>
const lines = [];
addEventListener("error", event => lines.push("error: " + event.message));
addEventListener("load", () => {
  const heads = [...document.querySelectorAll("th")];
  const ari = heads.find(head => head.textContent.startsWith("ARI"));
  const titles = () => [...ari.closest("table").tBodies[0].rows].map(row => row.cells[0].textContent.slice(0, 3));
  lines.push("before " + titles().join(","));
  ari.firstElementChild.click();
  lines.push(ari.getAttribute("aria-sort") + " " + titles().join(","));
  ari.firstElementChild.click();
  lines.push(ari.getAttribute("aria-sort") + " " + titles().join(","));
  const figure = document.querySelector("figure.ask"), plot = figure.querySelector("svg");
  const points = JSON.parse(figure.querySelector("script").textContent);
  const box = plot.getBoundingClientRect(), scale = box.width / plot.viewBox.baseVal.width;
  const [x, y] = points.panels[0][7];
  plot.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + x * scale, clientY: box.top + y * scale }));
  lines.push("hover " + figure.querySelector(".clip").textContent);
  plot.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  lines.push("arrow " + figure.querySelector(".clip").textContent);
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = "\n" + lines.join("\n") + "\n";
  document.body.append(told);
});
</script>"#;

#[test]
fn the_page_works_in_a_browser() {
    let Some(browser) = browser::find("the page was not opened") else { return };
    let study = hostile();
    let report = study.report(study.folder.path());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let page = folder.join("report.html");
    fs::write(&page, text(&report, "report.html").replace("<head>", &format!("<head>{READER}")))
        .expect("written");
    let run = |arguments: &[&str]| {
        let profile = tempfile::tempdir().expect("a folder");
        let profile = format!("--user-data-dir={}", profile.path().display());
        let output = Command::new(&browser)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
            .args(["--virtual-time-budget=3000", &profile])
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .output()
            .expect("the browser starts");
        let logged = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!logged.contains(":CONSOLE"), "the console says: {logged}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let dom = run(&["--dump-dom"]);
    let told = dom.split("<pre id=\"told\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    insta::assert_snapshot!("browser", told.expect("the page told nothing").trim());
    for (name, arguments) in [
        ("page.png", &["--window-size=1100,2200"][..]),
        ("page-dark.png", &["--window-size=1100,2200", "--blink-settings=preferredColorScheme=0"]),
        ("page-phone.png", &["--window-size=500,1600"]),
    ] {
        let shot = format!("--screenshot={}", folder.join(name).display());
        run(&[arguments, &[&shot]].concat());
        assert!(folder.join(name).is_file(), "{name}");
    }
}
