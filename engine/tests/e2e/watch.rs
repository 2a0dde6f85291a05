//! A watch runs again when the pipeline changes, and not when nothing does.

use crate::tones;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

/// Long enough for any machine; only a watch that does not work waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_watch_follows_the_pipeline() {
    let study = tones::three();
    study.run();
    let script = "runs/small/live.js";
    let mut watch = study
        .command(&["watch", "study.yaml", "--threads", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let until = |wanted: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !wanted() && started.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(50));
        }
        wanted()
    };
    // The id of the run whose report the page shows.
    let shown = || {
        let news = std::fs::read_to_string(study.path(script)).ok()?;
        let id = news.split_once("\"id\":\"")?.1.split('"').next()?.to_owned();
        news.contains("\"status\":\"done\"").then_some(id)
    };
    let is_shown = until(&|| shown().is_some());
    let first = shown();
    study.write("study.yaml", study.text().replace("clusters: 3", "clusters: 4"));
    let follows = is_shown && until(&|| shown().is_some_and(|id| Some(id) != first));
    // The watch hears Ctrl-C and ends by itself.
    kill_process(Pid::from_child(&watch), Signal::INT).expect("a living process");
    let ended = watch.wait().expect("it ends");
    assert!(is_shown, "no page was written");
    assert!(follows, "the page did not follow");
    assert!(ended.success(), "{ended}");
    assert!(study.path("runs/small/live.html").is_file());
    assert_eq!(study.run_folders(), 3, "one run before, one at the start, one for the change");
}
