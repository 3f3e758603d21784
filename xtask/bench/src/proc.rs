//! What the kernel knows of a process: CPU time and memory.

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

/// The largest resident memory that a process ever had, in MB (10^6 bytes).
pub fn peak_memory(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("the kernel tells no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("VmHWM")?;
    Ok(kib * 1024.0 / 1e6)
}
