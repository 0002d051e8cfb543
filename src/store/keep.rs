//! States of a name, and rules → which of them stay, and why.
//!
//! A state stays if any rule keeps it. A rule of hours, days, weeks, months or years keeps the newest state of each of the
//! last so many in which there is one; while it has not kept that many, the oldest state stays too, so that the history
//! reaches back as far as it can. Calendars are those of a time zone that is given: without IO and without a clock.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::State;

/// What to keep. Nothing at all, if there is no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The newest so many.
    pub last: u32,
    /// One an hour, of the last so many hours with any.
    pub hourly: u32,
    /// One a day.
    pub daily: u32,
    /// One a week, which begins on a Monday.
    pub weekly: u32,
    /// One a month.
    pub monthly: u32,
    /// One a year.
    pub yearly: u32,
    /// Whatever has one of these tags.
    pub tags: Vec<String>,
}

/// A stretch of the calendar of which one state is kept.
#[derive(Clone, Copy)]
enum Span {
    Each,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Span {
    /// What all times in the same stretch have in common, and no other.
    fn of(self, time: &DateTime, at: usize) -> (i32, i32) {
        let (date, year) = (time.date(), i32::from(time.year()));
        let day = (year, i32::from(date.day_of_year()));
        match self {
            Span::Each => (at as i32, 0),
            // An hour that a change of the clocks brings twice is one.
            Span::Hour => (day.0 * 1000 + day.1, i32::from(time.hour())),
            Span::Day => day,
            Span::Week => {
                let week = date.iso_week_date();
                (i32::from(week.year()), i32::from(week.week()))
            }
            Span::Month => (year, i32::from(date.month())),
            Span::Year => (year, 0),
        }
    }
}

impl Keep {
    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Keep::default()
    }

    /// For each of `states`, in their order, the rules that keep it: of one that is to go, none.
    #[must_use]
    pub fn reasons(&self, states: &[State], zone: &TimeZone) -> Vec<Vec<String>> {
        let mut reasons = vec![Vec::new(); states.len()];
        let mut newest_first: Vec<usize> = (0..states.len()).collect();
        newest_first.sort_by_key(|at| std::cmp::Reverse((states[*at].time, states[*at].sequence)));
        let rules = [
            (self.last, Span::Each, "last"),
            (self.hourly, Span::Hour, "hourly"),
            (self.daily, Span::Day, "daily"),
            (self.weekly, Span::Week, "weekly"),
            (self.monthly, Span::Month, "monthly"),
            (self.yearly, Span::Year, "yearly"),
        ];
        for (count, span, what) in rules {
            let (mut left, mut before) = (count, None);
            for (nth, at) in newest_first.iter().enumerate() {
                let stretch = span.of(&local(&states[*at], zone), nth);
                let is_new = before != Some(stretch);
                let is_oldest = nth + 1 == newest_first.len();
                if left == 0 || !is_new && !is_oldest {
                    continue;
                }
                before = Some(stretch);
                left -= 1;
                reasons[*at].push(if is_new { what.to_owned() } else { format!("oldest, {what}") });
            }
        }
        for (state, reasons) in states.iter().zip(&mut reasons) {
            let kept = self.tags.iter().filter(|tag| state.tags.contains(tag));
            reasons.extend(kept.map(|tag| format!("tag {tag}")));
        }
        reasons
    }
}

/// A state's time on the clocks of a zone; one that no calendar has is the first that there is.
fn local(state: &State, zone: &TimeZone) -> DateTime {
    zone.to_datetime(Timestamp::from_second(state.time.0).unwrap_or(Timestamp::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;

    /// States at these times in UTC, oldest first.
    fn states(times: &[&str]) -> Vec<State> {
        let state = |(sequence, time): (usize, &&str)| {
            let time: Timestamp = format!("{time}:00Z").parse().unwrap();
            State {
                sequence: sequence as u64,
                root: Hash([0; 32]),
                time: (time.as_second(), 0),
                tags: if sequence == 1 { vec!["release".to_owned()] } else { Vec::new() },
                bytes: 0,
                files: 0,
            }
        };
        times.iter().enumerate().map(state).collect()
    }

    const TIMES: [&str; 9] = [
        "2024-12-30T12:00",
        "2025-01-02T12:00",
        "2025-01-31T23:30",
        "2025-02-01T00:30",
        "2025-02-01T08:10",
        "2025-02-01T08:50",
        "2025-02-02T09:00",
        "2025-02-03T09:00",
        "2025-02-03T09:01",
    ];

    #[test]
    fn a_state_stays_if_a_rule_keeps_it() {
        let check = |keep: Keep, expected: &[(usize, &str)]| {
            let reasons = keep.reasons(&states(&TIMES), &TimeZone::UTC);
            let kept: Vec<(usize, String)> = reasons
                .iter()
                .enumerate()
                .filter(|(_, reasons)| !reasons.is_empty())
                .map(|(at, reasons)| (at, reasons.join("; ")))
                .collect();
            let expected: Vec<(usize, String)> =
                expected.iter().map(|(at, why)| (*at, (*why).to_owned())).collect();
            assert_eq!(kept, expected, "{keep:?}");
        };
        let none = Keep::default;
        check(none(), &[]);
        check(Keep { last: 2, ..none() }, &[(7, "last"), (8, "last")]);
        check(Keep { hourly: 3, ..none() }, &[(5, "hourly"), (6, "hourly"), (8, "hourly")]);
        check(Keep { daily: 2, ..none() }, &[(6, "daily"), (8, "daily")]);
        // The 30th of December and the 2nd of January are of one week, and of two years.
        check(
            Keep { weekly: 9, ..none() },
            &[(0, "oldest, weekly"), (1, "weekly"), (6, "weekly"), (8, "weekly")],
        );
        check(Keep { monthly: 2, ..none() }, &[(2, "monthly"), (8, "monthly")]);
        check(Keep { yearly: 2, ..none() }, &[(0, "yearly"), (8, "yearly")]);
        check(Keep { yearly: 1, ..none() }, &[(8, "yearly")]);
        check(Keep { tags: vec!["x".to_owned(), "release".to_owned()], ..none() }, &[(1, "tag release")]);
        check(
            Keep { last: 1, daily: 1, tags: vec!["release".to_owned()], ..none() },
            &[(1, "tag release"), (8, "last; daily")],
        );
        check(Keep { last: u32::MAX, ..none() }, &[0, 1, 2, 3, 4, 5, 6, 7, 8].map(|at| (at, "last")));
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let keep = Keep { daily: 9, ..Keep::default() };
        let kept = |zone: &TimeZone| {
            let reasons = keep.reasons(&states(&TIMES[1..5]), zone);
            reasons.iter().map(|reasons| !reasons.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(kept(&TimeZone::UTC), [true, true, false, true]);
        assert_eq!(kept(&zone), [true, false, false, true]);
    }

    #[test]
    fn a_time_that_no_calendar_has_is_kept_or_not_as_any() {
        let mut odd = states(&TIMES[..2]);
        odd[1].time = (i64::MAX, 0);
        let reasons = Keep { last: 1, ..Keep::default() }.reasons(&odd, &TimeZone::UTC);
        assert_eq!(reasons, [vec![], vec!["last".to_owned()]]);
    }
}
