//! What a benchmark is told behind `cargo bench --bench name --`.

use std::collections::BTreeMap;
use std::str::FromStr;

/// The values given, by the names of their flags.
pub(crate) struct Arguments(BTreeMap<String, String>);

impl Arguments {
    /// Those of this process; `None` where it is not run as a benchmark: `cargo test --all-targets` runs it too, and wants no figures.
    pub(crate) fn of_benchmark() -> Option<Self> {
        let mut given = std::env::args().skip(1);
        let (mut values, mut is_bench) = (BTreeMap::new(), false);
        while let Some(argument) = given.next() {
            match argument.strip_prefix("--") {
                Some("bench") => is_bench = true,
                Some(name) => {
                    let value = given.next().unwrap_or_else(|| panic!("{argument} needs a value"));
                    values.insert(name.to_owned(), value);
                }
                None => {}
            }
        }
        is_bench.then_some(Self(values))
    }

    /// What was given as `--name`, if it was.
    pub(crate) fn find<T: FromStr>(&self, name: &str) -> Option<T> {
        let value = self.0.get(name)?;
        Some(value.parse().unwrap_or_else(|_| panic!("--{name} cannot be {value}")))
    }

    /// How long a run takes.
    pub(crate) fn seconds(&self) -> f64 {
        self.find("seconds").unwrap_or(1.5)
    }

    /// How often each is run.
    pub(crate) fn rounds(&self) -> usize {
        self.find("rounds").unwrap_or(3)
    }
}
