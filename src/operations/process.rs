//! What the system tells of this process. On Linux alone.

/// The resources that the process has used or holds.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// The time of cores that it has used, in seconds.
    pub cpu_seconds: f64,
    /// Its memory that is in RAM, in bytes.
    pub resident_bytes: u64,
    /// How many files and sockets it has open.
    pub open_files: u64,
}

impl Process {
    /// As it is now; `None` where the system does not tell.
    #[cfg(target_os = "linux")]
    pub fn now() -> Option<Self> {
        use std::fs;

        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let (cpu_ticks, resident_pages) = read(&stat)?;
        // The folder that is read is open meanwhile.
        let open_files = fs::read_dir("/proc/self/fd")
            .ok()?
            .count()
            .saturating_sub(1);
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact for the ticks of two million years"
        )]
        let cpu_seconds = cpu_ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        Some(Self {
            cpu_seconds,
            resident_bytes: resident_pages * rustix::param::page_size() as u64,
            open_files: open_files as u64,
        })
    }

    /// Elsewhere it is not told.
    #[cfg(not(target_os = "linux"))]
    pub fn now() -> Option<Self> {
        None
    }
}

/// The ticks of a core that were used and the pages that are resident, of `/proc/PID/stat` (`proc(5)`).
#[cfg(any(target_os = "linux", test))]
fn read(stat: &str) -> Option<(u64, u64)> {
    // The second field is a name in parentheses, which may have spaces and parentheses in it.
    let (_, after_name) = stat.rsplit_once(')')?;
    // The first of these is field 3.
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let [user, system, resident] = [14, 15, 24].map(field);
    Some((user? + system?, resident?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let stat =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 99 1000 321 18446";
        assert_eq!(read(stat), Some((300, 321)));
        assert_eq!(read("7 (a) S 1"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_of_this_process() {
        let process = Process::now().unwrap();
        assert!(process.resident_bytes > 1_000_000, "{process:?}");
        assert!(process.open_files >= 3, "{process:?}");
    }
}
