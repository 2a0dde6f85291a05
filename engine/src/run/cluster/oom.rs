//! Out-of-memory kills of the kernel in this job, as its control group counts them.

use std::fs;

/// The number of processes of this one's control group that the kernel has killed; none where there is no such group.
pub fn kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().find_map(|line| {
        let file = counter(line)?;
        count(&fs::read_to_string(file).ok()?)
    })
}

/// The file with the counter of a group, given its line of `/proc/self/cgroup`.
fn counter(line: &str) -> Option<String> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?.trim_end_matches('/'));
    match controllers {
        "" => Some(format!("/sys/fs/cgroup{path}/memory.events")),
        _ if controllers.split(',').any(|name| name == "memory") => {
            Some(format!("/sys/fs/cgroup/memory{path}/memory.oom_control"))
        }
        _ => None,
    }
}

fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_in_both_versions_of_control_groups() {
        assert_eq!(
            counter("0::/slurm/job_7").as_deref(),
            Some("/sys/fs/cgroup/slurm/job_7/memory.events")
        );
        assert_eq!(
            counter("9:memory:/slurm_n1/job_7").as_deref(),
            Some("/sys/fs/cgroup/memory/slurm_n1/job_7/memory.oom_control")
        );
        assert_eq!(counter("3:cpu,cpuacct:/"), None);
        assert_eq!(count("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n"), Some(2));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"), Some(4));
        assert_eq!(count("oom_kill_disable 0\n"), None);
    }
}
