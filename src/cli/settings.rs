//! What a command's settings are and where they come from: what `serve` says at its start, and what it warns of. Secrets show as `***`.

use crate::config::{LOG_VARIABLE, OTHER_VARIABLES, PREFIX, faulty_log_filter, variable_names};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use log::warn;
use std::collections::BTreeSet;

/// Names closer than this to a known one are taken for a misspelling of it. Between 0 and 1.
const LIKENESS_MIN: f64 = 0.85;

/// The settings of the chosen command that differ from their defaults, `name=value` each, in the order of `--help`. Secrets show as
/// `***`.
pub(super) fn in_force(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let Some((name, matches)) = matches.subcommand() else { return Vec::new() };
    let Some(command) = command.find_subcommand(name) else { return Vec::new() };
    let given = |arg: &&Arg| {
        let source = matches.value_source(arg.get_id().as_str());
        matches!(source, Some(ValueSource::EnvVariable | ValueSource::CommandLine))
    };
    command.get_arguments().filter(given).map(|arg| shown(arg, matches)).collect()
}

fn shown(arg: &Arg, matches: &ArgMatches) -> String {
    let name = arg.get_long().unwrap_or(arg.get_id().as_str());
    if arg.is_hide_env_values_set() {
        return format!("{name}=***");
    }
    let values = matches.get_raw(arg.get_id().as_str()).unwrap_or_default();
    let values: Vec<String> = values.map(|value| value.to_string_lossy().into_owned()).collect();
    if values.is_empty() { name.to_owned() } else { format!("{name}={:?}", values.join(",")) }
}

/// Warns of environment variables that look like settings and are not, and of an invalid log level: a slip in a name is
/// otherwise a setting that silently does nothing.
pub(super) fn warn_of_unknown(command: &Command) {
    for fault in faults(command) {
        warn!("{fault}");
    }
}

/// The same, a sentence each without a full stop.
pub(super) fn faults(command: &Command) -> Vec<String> {
    let known = known_variables(command);
    let unknown = variable_names().filter(|name| name.starts_with(PREFIX) && !known.contains(name));
    let unknown = unknown.map(|name| match nearest(&name, &known) {
        Some(meant) => format!("{name} is not a setting and does nothing: did you mean {meant}?"),
        None => format!("{name} is not a setting and does nothing: see `quotegrid serve --help`"),
    });
    let filter = faulty_log_filter().map(|fault| {
        format!(
            "{LOG_VARIABLE}: {fault:?} is not a level; info is used. Levels are off, error, warn, info, debug and trace"
        )
    });
    unknown.chain(filter).collect()
}

fn known_variables(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(Arg::get_env);
    let own = own.map(|name| name.to_string_lossy().into_owned());
    let below = command.get_subcommands().flat_map(known_variables);
    own.chain(below).chain(OTHER_VARIABLES.iter().map(ToString::to_string)).collect()
}

fn nearest<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a str> {
    // Without what all of them begin with, so that it does not count as likeness.
    let bare = |name: &str| name.trim_start_matches(PREFIX).to_owned();
    let likeness = |other: &str| strsim::jaro_winkler(&bare(name), &bare(other));
    let best = known.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(best) >= LIKENESS_MIN).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_distinguished_from_another_programs() {
        let known = ["QUOTEGRID_DATABASE", "QUOTEGRID_LISTEN"].map(str::to_owned).into();
        assert_eq!(nearest("QUOTEGRID_DATABSE", &known), Some("QUOTEGRID_DATABASE"));
        assert_eq!(nearest("QUOTEGRID_LISTEN_ON", &known), Some("QUOTEGRID_LISTEN"));
        assert_eq!(nearest("QUOTEGRID_COLOUR", &known), None);
    }
}
