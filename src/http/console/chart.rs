//! Small charts as SVG, drawn here: bars by hour or by day, with what they mean in words for people who cannot see them.

use super::words::figure;
use crate::activity::{self, Event};
use crate::db;
use chrono::{DateTime, Utc};
use rusqlite::Connection;

/// Bars of the chart by hour.
const HOURS: i64 = 24;

/// Bars of the chart by day.
const DAYS: i64 = 30;

/// Hours of a day.
const DAY: i64 = 24;

/// The size of the drawing, in its own units.
const WIDTH: u64 = 300;
const HEIGHT: u64 = 60;

/// What happened in the last 24 hours and 30 days.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// The sums.
    pub(super) day: u64,
    pub(super) month: u64,
    hours: Vec<u64>,
    days: Vec<u64>,
}

impl Chart {
    /// The chart of all `events` together.
    pub(super) fn load(
        connection: &Connection,
        now: DateTime<Utc>,
        title: &'static str,
        events: impl IntoIterator<Item = Event>,
    ) -> db::Result<Self> {
        let hour = activity::hour_of(now);
        let (mut hours, mut days) = (vec![0; 24], vec![0; 30]);
        for event in events {
            for (at, count) in activity::list_since(connection, event, hour - DAYS * DAY + 1)? {
                let ago = (hour - at).max(0);
                if let Some(bar) = usize::try_from(HOURS - 1 - ago).ok().and_then(|place| hours.get_mut(place)) {
                    *bar += count;
                }
                if let Some(bar) = usize::try_from(DAYS - 1 - ago / DAY).ok().and_then(|place| days.get_mut(place)) {
                    *bar += count;
                }
            }
        }
        Ok(Self { title, day: hours.iter().sum(), month: days.iter().sum(), hours, days })
    }

    pub(super) fn by_hour(&self) -> String {
        let label = format!("{} in the last 24 hours, by hour: {} in all", self.title, figure(self.day));
        drawing(&self.hours, &label)
    }

    pub(super) fn by_day(&self) -> String {
        let label = format!("{} in the last 30 days, by day: {} in all", self.title, figure(self.month));
        drawing(&self.days, &label)
    }
}

/// SVG: write it with `|safe`. `label` is ours and has nothing to escape.
fn drawing(bars: &[u64], label: &str) -> String {
    use std::fmt::Write as _;
    let most = bars.iter().copied().max().unwrap_or(0);
    let room = WIDTH / bars.len().max(1) as u64;
    let mut svg = format!(
        r#"<svg class="chart" viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none" role="img" aria-label="{label}">"#,
        height = HEIGHT + 1,
    );
    for (place, bar) in bars.iter().enumerate() {
        // What happened once is seen too.
        let height = if *bar == 0 { 0 } else { (bar * HEIGHT / most.max(1)).max(2) };
        let (x, y) = (place as u64 * room, HEIGHT - height);
        let _infallible = write!(
            svg,
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}"><title>{bar}</title></rect>"#,
            width = room.saturating_sub(2),
        );
    }
    let _infallible = write!(svg, r#"<line x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}"/></svg>"#);
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_share_of_the_highest_and_what_happened_once_is_seen() {
        let svg = drawing(&[0, 1, 1_000], "words");
        let heights: Vec<&str> = svg.split(r#"" height=""#).skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(heights, ["0", "2", "60"]);
        assert!(drawing(&[], "words").contains("<line"));
    }
}
