//! The page of a run, in the browser of this machine: it follows a run, shows its report, and says when a run was killed.

use crate::{browser, cluster::until, study::Study, tones};
use browser::Page;
use std::process::{Child, Stdio};

/// One row can be scored at once; the other waits for a file, and one step fails.
const PIPELINE: &str = "name: live
steps:
  clips: { op: audio_folder, path: data }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.25, n_fft: 256, hop_length: 128, n_mels: 16 }
  norm: { op: normalize, in: mel }
  pca: { op: pca, in: norm, components: 3 }
  vae: { op: beta_vae, in: norm, latent: 2, channels: [4], epochs: 3, batch_size: 6 }
  broken: { op: command, command: [sh, -c, \"echo last words >&2; exit 3\", \"{in.x}\", \"{out.y}\"], in: { x: pca }, outputs: { y: matrix } }
  held: { op: command, command: [sh, wait.sh, \"{in.x}\", \"{out.y}\", GO], in: { x: pca }, outputs: { y: matrix } }
  groups: { op: kmeans, for: { on: [pca, held] }, in: \"${on}\", clusters: 3 }
  scores: { op: metrics, for: { on: [pca, held] }, in: { features: \"${on}\", clusters: \"groups@${on}\", truth: clips.labels } }
report:
  table:
    - { row: Soon, scores: scores@pca }
    - { row: Late, scores: scores@held }
";

/// Sends the text of the page as soon as each of these holds, one after the other.
const LOOK: &str = r##"<script>
const all = name => document.getElementById(name).textContent;
const cells = row => [...document.querySelectorAll("#table tbody tr")[row].cells].map(cell => cell.textContent);
const waits = [
  ["follows", () => all("state").startsWith("Running") && cells(0)[4] !== "…" && cells(1)[4] === "…" &&
    all("failures").includes("last words") && all("curves").includes("loss") && all("curves").includes("kl") && all("running").includes("held") &&
    document.querySelectorAll("#gantt rect").length >= 6],
  ["ends", () => all("state").startsWith("Partly done") && cells(1)[4] !== "…" && !document.querySelector("iframe").hidden],
  ["again", () => all("state").startsWith("Running") && document.querySelector("iframe").hidden && all("stale") === ""],
  ["stale", () => !document.getElementById("stale").hidden && all("stale").startsWith("No news for")],
];
const look_for = setInterval(() => {
  let holds = false;
  try { holds = waits[0][1](); } catch (fault) { }
  if (!holds) return;
  fetch("ADDRESS", { method: "POST", mode: "no-cors", body: waits.shift()[0] + ": " + document.body.innerText });
  if (!waits.length) clearInterval(look_for);
}, 100);
</script>
</body>"##;

fn study() -> Study {
    let study = Study::new();
    let go = study.path("go").display().to_string();
    let study = study.pipeline(&PIPELINE.replace("GO", &go)).threads(2);
    tones::fill(&study, 4);
    let script = "until [ -e \"$3\" ]; do sleep 0.05; done; cp \"$1\" \"$2\"\n";
    study.write("wait.sh", script);
    study
}

fn start(study: &Study, further: &[&str]) -> Child {
    let arguments = [&["--live", "--keep-going"], further].concat();
    let mut run = study.run_command(&arguments);
    run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
}

#[test]
fn the_page_follows_a_run_to_its_report_and_says_when_one_was_killed() {
    let Some(browser) = browser::find("the page of a run is not looked at") else { return };
    let study = study();
    let mut run = start(&study, &[]);
    let folder = study.path("runs/live");
    until("the news of the run", || folder.join("live.js").is_file().then_some(()));
    let page = std::fs::read_to_string(folder.join("live.html")).expect("the page");
    let page = Page::open(&browser, &folder, |address| {
        page.replace("</body>", &LOOK.replace("ADDRESS", address))
    });
    let next = |name: &str| {
        let heard =
            page.receive().unwrap_or_else(|| panic!("the page never showed that it {name}"));
        assert!(heard.starts_with(name), "{heard}");
        heard
    };
    let heard = next("follows");
    assert!(heard.contains("program failed") || heard.contains("exit"), "{heard}");
    study.write("go", "");
    next("ends");
    run.wait().expect("it ends");
    std::fs::remove_file(study.path("go")).expect("a file");
    let mut run = start(&study, &["--force", "held"]);
    next("again");
    run.kill().and_then(|()| run.wait()).expect("it is killed");
    next("stale");
}

#[test]
fn a_run_without_work_shows_the_report_that_is_there() {
    let study = tones::three();
    study.run();
    let run = || {
        let said = study.engine(&["run", "study.yaml", "--live"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        study.read("runs/small/live.js")
    };
    run();
    // What was written just now is not trusted to be settled.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let (news, before) = (run(), study.run_folders());
    let settled = run();
    assert_eq!(study.run_folders(), before, "nothing was to do");
    let id = |news: &str| news.split("\"id\":\"").nth(1).map(|rest| rest[..21].to_owned());
    assert!(id(&news).is_some() && id(&news) == id(&settled), "{news}\n{settled}");
    assert!(settled.contains("\"status\":\"done\""), "{settled}");
}
