//! Recordings of endings that are not read: listed on the terminal and in the report, never passed over.

use crate::tones;
use std::fs;

#[test]
fn they_are_listed_by_folder_and_ending() {
    let study = tones::three();
    let before = study.run();
    assert_eq!(before.code, 0, "{}", before.stderr);
    assert!(!before.stderr.contains("left out"), "{}", before.stderr);
    let bytes = fs::read(study.path("data/bell/00.wav")).expect("a recording");
    for ending in ["opus", "wma", "ape", "mid"] {
        study.write(&format!("data/bell/x.{ending}"), &bytes);
    }
    (0..5).for_each(|at| study.write(&format!("data/drone/deep/{at}.WEBM"), &bytes));
    study.write("data/bell/notes.txt", "no recording");
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report = study.read("runs/small/latest/report.md");
    assert!(said.stderr.contains("warning: `clips` left out 9 files"), "{}", said.stderr);
    for text in [&said.stderr, &report] {
        for part in ["`bell/x.opus`", "`bell/x.mid`", "`drone/deep`: 5 files"] {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
        assert!(!text.contains("notes.txt"), "{text}");
    }
    assert_eq!(study.ran(), [""; 0], "what was left out changes nothing");
}

#[test]
fn a_class_of_which_nothing_is_left_is_an_error() {
    let study = tones::three();
    for at in 0..4 {
        let path = study.path(format!("data/bell/{at:02}.wav"));
        fs::rename(&path, path.with_extension("opus")).expect("a recording");
    }
    let said = study.run();
    assert_eq!(said.code, 2, "{}", said.stderr);
    for part in ["no recording of one class can be read", "`bell`: 4 `.opus`", "ffmpeg"] {
        assert!(said.stderr.contains(part), "`{part}` is not in {}", said.stderr);
    }
    let skip = ["--set", "clips.on_error=skip", "--set", "clusters=2"];
    let said = study.run_with(&skip);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("`bell`: 4 files ending in `.opus`"), "{}", said.stderr);
}
