//! The page lets a reader hear clips: the recordings are those beside the run, found by their relative
//! address, and really play.

use crate::{
    browser,
    study::{Study, clips, scattered},
};
use cache::{Artifact, Kind, Table};
use serde_json::{Value, json};
use std::fs;

/// Names that would lead elsewhere in an address, or out of a text.
const NAMES: [&str; 3] = ["take #1.wav", "50% [gac] \"é\".wav", "plain.wav"];

/// Half a second of a tone: sixteen bits, one channel, 22,050 Hz.
fn wav() -> Vec<u8> {
    let tone = (0..11_025).map(|at| ((f64::from(at) * 0.125).sin() * 8_000.0) as i16);
    let data: Vec<u8> = tone.flat_map(i16::to_le_bytes).collect();
    let (whole, length) = ((data.len() as u32 + 36).to_le_bytes(), data.len() as u32);
    let format: &[u8] = b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x22\x56\0\0\x44\xac\0\0\x02\0\x10\0data";
    [b"RIFF", &whole[..], format, &length.to_le_bytes(), &data].concat()
}

/// A study whose first clips are recordings in a folder beside it, and the others were made on the way.
fn study() -> Study {
    let mut study = scattered();
    let folder = study.folder.path().join("my data");
    fs::create_dir_all(&folder).expect("a folder");
    let mut audio: Vec<String> = Vec::new();
    for (at, name) in NAMES.iter().enumerate() {
        let mut bytes = wav();
        // No two recordings are of one content.
        bytes[50] = at as u8;
        fs::write(folder.join(name), bytes).expect("written");
    }
    // A file that is a moment old is not remembered: it may still change.
    std::thread::sleep(std::time::Duration::from_millis(80));
    for name in NAMES {
        let (digest, _) = study.store.files().digest(&folder.join(name)).expect("read");
        audio.push(format!("file:{digest}"));
    }
    audio.resize(220, "synth:0".to_owned());
    let source = Table::new()
        .with_text("clip_id", clips(220))
        .with_text("audio", audio)
        .with_ints("frames", vec![11_025; 220]);
    study.step("source", Artifact::table(Kind::Clips, source));
    let colors = [("of", &["map"][..]), ("color", &["clips"][..])];
    study.record.figures = vec![Study::figure("scatter", &colors, json!({}))];
    study
}

/// Clicks on points as a reader would, waits until each plays or says why not, and sends what came of it.
const LISTENER: &str = r#"<script>
addEventListener("load", async () => {
  const figure = document.querySelector("figure.ask"), plot = figure.querySelector("svg");
  const line = figure.querySelector(".clip");
  const points = JSON.parse(figure.querySelector("script").textContent);
  const results = [{ hint: line.textContent }];
  const rest = time => new Promise(done => setTimeout(done, time));
  for (const clip of CLIPS) {
    const box = plot.getBoundingClientRect(), scale = box.width / plot.viewBox.baseVal.width;
    const [x, y] = points.panels[0][clip];
    const at = { clientX: box.left + x * scale, clientY: box.top + y * scale };
    plot.dispatchEvent(new PointerEvent("pointermove", at));
    plot.dispatchEvent(new MouseEvent("click", at));
    let audio = line.querySelector("audio");
    for (let turn = 0; turn < 400 && audio && audio.isConnected && !(audio.currentTime > 0); turn++) await rest(25);
    audio = line.querySelector("audio");
    results.push({
      message: line.lastElementChild.tagName === "AUDIO" ? "" : line.lastElementChild.textContent,
      controls: line.querySelectorAll("audio").length,
      ready: audio ? audio.readyState : 0, time: audio ? audio.currentTime : 0,
      error: audio && audio.error ? audio.error.message : null,
      seconds: audio ? audio.duration : 0,
    });
  }
  fetch("ADDRESS", { method: "POST", mode: "no-cors", body: JSON.stringify(results) });
});
</script>"#;

/// The results of clicks on these clips, after what the page said before. Between the making of the page
/// and its reading something may happen.
fn clicked(study: &Study, clips: &[usize], meanwhile: impl FnOnce()) -> Option<Vec<Value>> {
    let browser = browser::find("no clip was heard")?;
    let run = study.folder.path().join("runs/study/1");
    fs::create_dir_all(&run).expect("a folder");
    let report = study.report(&run);
    let page = String::from_utf8(report["report.html"].clone()).expect("UTF-8");
    meanwhile();
    let opened = browser::Page::open(&browser, &run, |address| {
        let script = LISTENER.replace("CLIPS", &json!(clips).to_string());
        page.replace("<head>", &format!("<head>{}", script.replace("ADDRESS", address)))
    });
    let results = opened.receive().expect("the page told nothing");
    Some(serde_json::from_str(&results).expect("a list"))
}

#[test]
fn a_click_on_a_point_plays_its_recording() {
    let Some(results) = clicked(&study(), &[0, 1, 2, 3], || ()) else { return };
    assert!(results[0]["hint"].as_str().is_some_and(|hint| hint.contains("click to hear it")));
    for (clip, results) in results[1..4].iter().enumerate() {
        let number = |name: &str| results[name].as_f64().unwrap_or(0.0);
        assert!(
            results["error"].is_null() && results["controls"] == 1,
            "{}: {results}",
            NAMES[clip]
        );
        assert!(number("ready") >= 2.0 && number("time") > 0.0, "{}: {results}", NAMES[clip]);
        assert!((number("seconds") - 0.5).abs() < 0.01, "{}: {results}", NAMES[clip]);
    }
    // The fourth clip is no file: the control of the third does not stay.
    assert_eq!(results[4]["controls"], 0, "{}", results[4]);
    assert!(
        results[4]["message"]
            .as_str()
            .is_some_and(|message| message.contains("has no recording here"))
    );
}

#[test]
fn a_recording_that_has_gone_is_said_to_be_gone_and_has_no_control() {
    let study = study();
    let gone = study.folder.path().join("my data/plain.wav");
    let remove = || fs::remove_file(gone).expect("removed");
    let Some(results) = clicked(&study, &[2], remove) else { return };
    assert_eq!(results[1]["controls"], 0, "{}", results[1]);
    assert!(
        results[1]["message"].as_str().is_some_and(|message| message.contains("not where it was"))
    );
}

#[test]
fn without_local_recordings_nothing_offers_to_play() {
    let mut study = study();
    study.record.audio = false;
    let Some(results) = clicked(&study, &[0, 3], || ()) else { return };
    assert!(
        results[0]["hint"].as_str().is_some_and(|hint| !hint.contains("hear")),
        "{}",
        results[0]
    );
    assert!(results[1..].iter().all(|results| results["controls"] == 0), "{results:?}");
}
