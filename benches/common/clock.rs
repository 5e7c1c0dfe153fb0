//! Time of one core, and a table of figure, value and target. I/O: the kernel's count of processor time, standard output.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// Time on the processor, where the kernel tells: a busy machine does not change it.
fn on_cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(stat.split_whitespace().next()?.parse().ok()?))
}

/// Runs something and says how long it took: on the processor, else on the wall.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let (begun, cpu) = (Instant::now(), on_cpu());
    let made = work();
    (cpu.zip(on_cpu()).map_or_else(|| begun.elapsed(), |(before, after)| after - before), made)
}

/// The median.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Milliseconds of one core.
pub fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// The table as it grows.
#[derive(Default)]
pub struct Table {
    missed: usize,
}

impl Table {
    /// Begins one.
    pub fn begin() -> Self {
        println!("| figure | value | target | |\n|---|---|---|---|");
        Self::default()
    }

    /// A figure without a target.
    pub fn fact(&self, figure: &str, value: impl std::fmt::Display) {
        println!("| {figure} | {value} | | |");
    }

    /// A figure with a target.
    pub fn target(&mut self, figure: &str, value: impl std::fmt::Display, target: &str, met: bool) {
        self.missed += usize::from(!met);
        println!("| {figure} | {value} | {target} | {} |", if met { "pass" } else { "MISS" });
    }

    /// The last line, and what the program ends with.
    pub fn end(self) -> ExitCode {
        println!("\n{} of the targets missed", self.missed);
        ExitCode::from(u8::from(self.missed > 0))
    }
}
