//! What this process has used so far: unlike rates, it hardly depends on what else the machine does.

use std::time::Duration;

/// Processor time and bytes, of all threads, the load generator's included.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Zero where the system does not tell.
    pub(crate) computed: Duration,
    /// Bytes that went to the disk; zero where the system does not tell.
    pub(crate) written: u64,
}

impl Usage {
    pub(crate) fn now() -> Self {
        Self { computed: computed("self"), written: written("self") }
    }

    /// Of another process.
    #[allow(dead_code, reason = "most benchmarks run all in one process")]
    pub(crate) fn of(process: u32) -> Self {
        let process = process.to_string();
        Self { computed: computed(&process), written: written(&process) }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            computed: self.computed.saturating_sub(before.computed),
            written: self.written.saturating_sub(before.written),
        }
    }

    pub(crate) fn micros_each(self, times: usize) -> f64 {
        self.computed.as_secs_f64() * 1e6 / times.max(1) as f64
    }

    pub(crate) fn kib_each(self, times: usize) -> f64 {
        self.written as f64 / 1024.0 / times.max(1) as f64
    }
}

fn computed(process: &str) -> Duration {
    /// Linux tells in hundredths of a second.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u32 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    TICK * ticks
}

fn written(process: &str) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or_default()
}
