//! A disk without room: a clear error, and what was finished is kept.

use crate::{study::STEPS, tones};
use cache::record::StepStatus;
use std::process::Command;

#[test]
fn a_full_disk_is_said_and_what_is_finished_is_kept() {
    let mut failed = 0;
    // The longest file that may be written, in blocks of 512 bytes.
    for blocks in [1, 3, 5, 7, 9, 12, 20] {
        let study = tones::three();
        let mut limited = Command::new("sh");
        // Without the trap the system would end the process instead of refusing the write.
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        limited.args(["-c", &limit]);
        let said = study.run_by(limited);
        if said.code == 0 {
            continue;
        }
        failed += 1;
        assert_eq!(said.code, 1, "{}", said.stderr);
        assert!(said.stderr.contains("cannot write"), "{}", said.stderr);
        let finished: Vec<_> = said.stderr.lines().filter(|line| line.contains(" ran  ")).collect();
        let after = study.run();
        assert_eq!(after.code, 0, "{}", after.stderr);
        assert!(!after.stderr.contains("damaged"), "{}", after.stderr);
        let hits = study.steps_that(&after, StepStatus::Hit);
        let ran = study.steps_that(&after, StepStatus::Ran);
        assert!(hits.len() >= finished.len(), "{finished:?} were finished, {ran:?} ran again");
        assert_eq!(hits.len() + ran.len(), STEPS.len());
    }
    assert!(failed >= 3, "only {failed} limits were too small");
}
