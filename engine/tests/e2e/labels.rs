//! Labels that a reader of the report gives to clips come back as a list of recordings.

use crate::{browser, study::Study, tones};
use browser::Page;
use serde_json::Value;

const PIPELINE: &str = "name: small
steps:
  clips: { op: audio_folder, path: data }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.25, n_fft: 256, hop_length: 128, n_mels: 16 }
  map: { op: pca, in: mel, components: 2 }
report:
  figures:
    - { figure: scatter, of: map, color: [clips.labels] }
";

/// A pipeline that reads the list.
const AGAIN: &str = "name: again
steps:
  clips: { op: manifest, path: labels.csv }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.25, n_fft: 256, hop_length: 128, n_mels: 16 }
  map: { op: pca, in: mel, components: 2 }
  groups: { op: kmeans, in: map, clusters: 2 }
  scores: { op: metrics, in: { features: map, clusters: groups, truth: clips.labels } }
report: { table: [ { row: Labelled, scores: scores } ] }
";

/// Draws a lasso around the left half of the map, selects a class from the list and a clip by keys, and labels each.
const READER: &str = r##"<script>
addEventListener("load", async () => {
  const told = {};
  const figure = document.querySelector("figure.ask"), plot = figure.querySelector("svg");
  const points = JSON.parse(figure.querySelector("script").textContent);
  const inside = figure.querySelector("details.select");
  inside.open = true;
  const press = words => [...inside.querySelectorAll("button")].find(it => it.textContent === words).click();
  const status = () => inside.querySelector("[role=status]").textContent;
  const label = text => { inside.querySelector("input[type=text]").value = text; press("Give label"); };
  const box = plot.getBoundingClientRect(), scale = box.width / plot.viewBox.baseVal.width;
  const places = points.panels[0], xs = places.map(place => place[0]).sort((a, b) => a - b);
  const middle = (xs[5] + xs[6]) / 2, top = Math.min(...places.map(place => place[1])) - 5;
  const bottom = Math.max(...places.map(place => place[1])) + 5;
  inside.querySelector("input[type=checkbox]").click();
  const at = (type, x, y) => plot.dispatchEvent(new PointerEvent(type,
    { clientX: box.left + x * scale, clientY: box.top + y * scale, bubbles: true }));
  at("pointerdown", xs[0] - 5, top);
  at("pointermove", middle, top);
  at("pointermove", middle, bottom);
  at("pointermove", xs[0] - 5, bottom);
  at("pointerup", xs[0] - 5, bottom);
  told.lasso = status();
  label("left, all");
  told.left = points.clips.filter((_, clip) => places[clip][0] < middle);
  press("Clear");
  const same = inside.querySelector("select");
  const bell = [...same.options].find(option => option.textContent.endsWith("bell"));
  same.value = bell.value;
  same.dispatchEvent(new Event("change"));
  told.bells = status();
  label("bells");
  const key = name => plot.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
  key("Escape");
  key("ArrowRight");
  key("s");
  told.one = status();
  told.focus = plot.tabIndex;
  told.heard = figure.querySelector(".clip span").textContent;
  press("Play them");
  const rest = time => new Promise(done => setTimeout(done, time));
  const audio = () => figure.querySelector("audio");
  for (let turn = 0; turn < 400 && !(audio() && audio().currentTime > 0); turn++) await rest(25);
  told.plays = Boolean(audio() && audio().currentTime > 0);
  URL.createObjectURL = blob => {
    blob.text().then(csv => fetch("ADDRESS", { method: "POST", mode: "no-cors", body: JSON.stringify({ ...told, csv }) }));
    return "#";
  };
  press("Save labels as CSV");
});
</script>"##;

#[test]
fn clips_are_selected_labelled_and_read_back() {
    let Some(browser) = browser::find("no clip is labelled") else { return };
    let study = Study::new().pipeline(PIPELINE);
    tones::fill(&study, 4);
    // A file that is a moment old is not remembered: it may still change.
    std::thread::sleep(std::time::Duration::from_millis(80));
    assert_eq!(study.run().code, 0);
    let folder = study.path("runs/small/latest").canonicalize().expect("a run");
    let report = study.read("runs/small/latest/report.html");
    let page = Page::open(&browser, &folder, |address| {
        report.replace("<head>", &format!("<head>{}", READER.replace("ADDRESS", address)))
    });
    let told: Value = serde_json::from_str(&page.receive().expect("the page tells")).expect("JSON");
    assert_eq!(told["lasso"], "6 selected, 0 labelled on this page");
    let bells = told["bells"].as_str().expect("a text");
    assert!(bells.starts_with("4 selected, 6 labelled"), "{told}");
    assert!(told["one"].as_str().is_some_and(|one| one.starts_with("1 selected")), "{told}");
    assert_eq!((&told["plays"], &told["focus"]), (&true.into(), &0.into()), "{told}");
    let csv = told["csv"].as_str().expect("a list");
    assert!(csv.starts_with("id,path,label\n") && csv.contains(",\"left, all\"\n"), "{csv}");
    let left = told["left"].as_array().expect("clips").iter().filter_map(Value::as_str);
    let labelled = left.filter(|clip| !clip.contains("bell")).count() + 4;
    assert_eq!(csv.lines().count(), labelled + 1, "{csv}");

    study.write("labels.csv", csv);
    study.write("again.yaml", AGAIN);
    let said = study.engine(&["run", "again.yaml"]);
    assert_eq!(said.code, 0, "{}{csv}", said.stderr);
    assert_eq!(
        study.engine(&["export", "again", "clips.labels", "--to", "back/labels.csv"]).code,
        0
    );
    let back = study.read("back/labels.csv");
    assert_eq!(back.lines().count(), labelled + 1, "{back}");
    assert_eq!(back.matches(",bells").count(), 4, "{back}");
    assert!(back.contains("bell/00.wav"), "clips keep their names: {back}");
}
