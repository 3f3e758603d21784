//! The kernel's account of a process: CPU time and memory.

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

/// Ticks of `/proc/PID/stat` in a second: 100 on every Linux that this runs on.
const TICKS: f64 = 100.0;

/// CPU seconds of the calling thread so far.
pub fn thread_cpu() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// CPU seconds of a process so far, all threads: in its own code, and in the kernel for it.
pub fn cpu(pid: u32) -> Result<(f64, f64)> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    // The program's name, in parentheses, may hold anything; fields count from behind it.
    let (_, fields) = text.rsplit_once(')').with_context(|| path.clone())?;
    let field = |i: usize| -> Result<f64> {
        Ok(fields.split_whitespace().nth(i).context("a short stat line")?.parse::<f64>()?)
    };
    Ok((field(11)? / TICKS, field(12)? / TICKS))
}

/// Resident memory of this process, in MB (10^6 bytes).
pub fn memory() -> Result<f64> {
    megabytes("self", "VmRSS:")
}

/// From here on [`peak_memory`] of this process counts anew.
pub fn forget_peak_memory() -> Result<()> {
    std::fs::write("/proc/self/clear_refs", "5").context("/proc/self/clear_refs")
}

/// The largest resident memory that a process ever had, in MB (10^6 bytes).
pub fn peak_memory(pid: u32) -> Result<f64> {
    megabytes(&pid.to_string(), "VmHWM:")
}

fn megabytes(process: &str, field: &'static str) -> Result<f64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|l| l.strip_prefix(field)).context(field)?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context(field)?;
    Ok(kib * 1024.0 / 1e6)
}
