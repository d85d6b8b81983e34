//! Peak resident memory of this process, where the system tells it.
//!
//! Linux only: elsewhere every function says that it does not know, and reports leave the figure out. Resetting
//! the mark before a stage makes the peak that stage's own, with what was resident already.

/// Bytes of the largest resident set since the process started or since [`reset_peak_resident`], or `None` where
/// the system does not say.
pub fn peak_resident_bytes() -> Option<u64> {
    if cfg!(target_os = "linux") {
        peak_from_status(&std::fs::read_to_string("/proc/self/status").ok()?)
    } else {
        None
    }
}

/// Makes the current resident set the new peak. Returns whether the system did it: where it did not, a later
/// [`peak_resident_bytes`] is that of the whole process.
pub fn reset_peak_resident() -> bool {
    // `5` resets VmHWM and touches nothing else: proc_pid_clear_refs(5).
    cfg!(target_os = "linux") && std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Reads `VmHWM:  1234 kB` out of the text of `/proc/PID/status`.
fn peak_from_status(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_read_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t  2048 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(peak_from_status(status), Some(2048 * 1024));
        assert_eq!(peak_from_status("Name:\tx\n"), None);
        assert_eq!(peak_from_status("VmHWM:\tmany kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_large_buffer_moves_the_mark() {
        let before = peak_resident_bytes().expect("Linux tells the mark");
        let size = usize::try_from(before).expect("fits") + (32 << 20);
        let buffer = vec![1_u8; size];
        let after = peak_resident_bytes().expect("Linux tells the mark");
        assert!(
            after > before && after >= size as u64,
            "{after} after a buffer of {} bytes, {before} before",
            buffer.len()
        );
    }
}
