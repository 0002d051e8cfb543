//! Times → text in this machine's time zone, as rsync writes them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::fs::Time;

/// A time to come is looked for so far ahead: every date, the 29th of February too, is met on the way.
const DAYS_AHEAD: usize = 366 * 30;

/// A time as `2026/11/23` and `16:31:04`, with `between` between them. What no calendar has is its seconds.
pub(super) fn local(time: Time, between: char) -> String {
    let Ok(stamp) = Timestamp::from_second(time.secs) else { return time.secs.to_string() };
    let there = TimeZone::system().to_datetime(stamp);
    there.strftime(&format!("%Y/%m/%d{between}%H:%M:%S")).to_string()
}

/// The last second of the day, minute or second that is said: `y-m-d`, `h:m` or `h:m:s`, a `T`, a space or a `-` between
/// the two. Where the year, the month or the whole date is left out, it is the latest that has begun.
pub(super) fn last(text: &str, now: Time) -> Option<i64> {
    let colon = text.find(':');
    let (date, time) = match (colon, text.rfind(['T', 't', ' ', '-'])) {
        (None, _) if text.is_empty() => return None,
        (None, _) => (text, None),
        (Some(colon), Some(at)) if at < colon => (&text[..at], Some(&text[at + 1..])),
        (Some(_), _) => ("", Some(text)),
    };
    let number = |text: &str| text.parse::<i16>().ok().filter(|number| *number >= 0);
    let mut parts = date.split(['-', '/']).rev().filter(|_| !date.is_empty()).map(number);
    let (day, month, year) = (parts.next(), parts.next(), parts.next());
    if parts.next().is_some() || [day, month, year].contains(&Some(None)) {
        return None;
    }
    let year = year.flatten().map(|year| if year < 100 { year + 2000 } else { year });
    let clock = match time {
        None => None,
        Some(time) => {
            let mut parts = time.split(':').map(|part| part.parse::<i8>().ok().filter(|part| *part >= 0));
            let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next());
            if parts.next().is_some() || second == Some(None) {
                return None;
            }
            Some((hour, minute, second.flatten()))
        }
    };
    let zone = TimeZone::system();
    let second = |there: DateTime| Some(zone.to_timestamp(there).ok()?.as_second());
    let (day, month) = (day.flatten(), month.flatten());
    // A date that is whole need not be past.
    let (first, is_whole) = match (year, month, day) {
        (Some(year), Some(month), Some(day)) => {
            (Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?, true)
        }
        _ => (zone.to_datetime(Timestamp::from_second(now.secs).ok()?).date(), false),
    };
    let fits = |date: &Date| {
        day.is_none_or(|day| day == i16::from(date.day()))
            && month.is_none_or(|month| month == i16::from(date.month()))
    };
    let days = if is_whole { 1 } else { DAYS_AHEAD };
    let dates = std::iter::successors(Some(first), |date| date.yesterday().ok()).take(days);
    dates.filter(fits).find_map(|date| {
        let Some((hour, minute, exact)) = clock else {
            return second(date.tomorrow().ok()?.at(0, 0, 0, 0)).map(|next| next - 1);
        };
        let there = DateTime::new(date.year(), date.month(), date.day(), hour, minute, exact.unwrap_or(0), 0);
        let begins = second(there.ok()?).filter(|begins| is_whole || *begins <= now.secs)?;
        Some(if exact.is_some() { begins } else { begins + 59 })
    })
}

/// The next time, in seconds, that fits what is said of it: `y-m-dTh:m`, or a part. A date alone is its midnight.
pub(super) fn next(text: &str, now: Time) -> Option<i64> {
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None if text.is_empty() => return None,
        None if text.contains(':') => ("", Some(text)),
        None => (text, None),
    };
    let number = |text: &str| text.parse::<i16>().ok().filter(|number| *number >= 0);
    let mut parts = date.split(['-', '/']).rev().filter(|_| !date.is_empty()).map(number);
    let (day, month, year) = (parts.next(), parts.next(), parts.next());
    if parts.next().is_some() || [day, month, year].contains(&Some(None)) {
        return None;
    }
    let year = year.flatten().map(|year| if year < 100 { year + 2000 } else { year });
    let (hour, minute) = match time {
        None => (Some(0), 0),
        Some(time) => {
            let (hour, minute) = time.split_once(':')?;
            (if hour.is_empty() { None } else { Some(number(hour)?) }, number(minute)?)
        }
    };
    let zone = TimeZone::system();
    let today = zone.to_datetime(Timestamp::from_second(now.secs).ok()?).date();
    let fits = |date: &Date| {
        day.flatten().is_none_or(|day| day == i16::from(date.day()))
            && month.flatten().is_none_or(|month| month == i16::from(date.month()))
            && year.is_none_or(|year| year == date.year())
    };
    let hours = hour.map_or(0..24, |hour| hour..hour + 1);
    let dates = std::iter::successors(Some(today), |date| date.tomorrow().ok()).take(DAYS_AHEAD);
    dates.filter(fits).find_map(|date| {
        hours.clone().find_map(|hour| {
            let (hour, minute) = (i8::try_from(hour).ok()?, i8::try_from(minute).ok()?);
            let there = DateTime::new(date.year(), date.month(), date.day(), hour, minute, 0, 0);
            let second = zone.to_timestamp(there.ok()?).ok()?.as_second();
            (second > now.secs).then_some(second)
        })
    })
}

/// Now.
#[expect(clippy::disallowed_methods, reason = "what a log line begins with")]
pub(super) fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time { secs: since.as_secs() as i64, nanos: since.subsec_nanos() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_to_the_second_and_one_beyond_the_calendar_as_a_number() {
        let told = local(Time { secs: 86_400 * 365, nanos: 9 }, '-');
        assert!(told.starts_with("197") && told.len() == "1971/01/01-00:00:00".len(), "{told}");
        assert_eq!(local(Time { secs: i64::MAX, nanos: 0 }, '-'), i64::MAX.to_string());
    }

    #[test]
    fn a_time_that_was_is_the_end_of_the_latest_that_fits() {
        let zone = TimeZone::system();
        let at = |year, month, day, hour, minute, second| {
            let there = DateTime::new(year, month, day, hour, minute, second, 0).unwrap();
            zone.to_timestamp(there).unwrap().as_second()
        };
        let now = Time { secs: at(2026, 11, 23, 16, 30, 20), nanos: 0 };
        for (text, expected) in [
            ("2026-11-20", Some(at(2026, 11, 20, 23, 59, 59))),
            ("26/11/20", Some(at(2026, 11, 20, 23, 59, 59))),
            ("2026/11/20 16:31:04", Some(at(2026, 11, 20, 16, 31, 4))),
            ("2026-11-20-16:31:04", Some(at(2026, 11, 20, 16, 31, 4))),
            ("2026-11-20T16:31", Some(at(2026, 11, 20, 16, 31, 59))),
            ("11-24", Some(at(2025, 11, 24, 23, 59, 59))),
            ("11-23", Some(at(2026, 11, 23, 23, 59, 59))),
            ("16:30", Some(at(2026, 11, 23, 16, 30, 59))),
            ("16:31", Some(at(2026, 11, 22, 16, 31, 59))),
            ("2027-1-1", Some(at(2027, 1, 1, 23, 59, 59))),
            ("2026-11-23T16:31", Some(at(2026, 11, 23, 16, 31, 59))),
            ("2026-2-30", None),
            ("13-40", None),
            ("25:00", None),
            ("1:2:3:4", None),
            ("x", None),
            ("", None),
            ("-5", None),
        ] {
            assert_eq!(last(text, now), expected, "{text}");
        }
    }

    #[test]
    fn a_time_to_come_is_the_next_that_fits() {
        let zone = TimeZone::system();
        let at = |year, month, day, hour, minute| {
            let there = DateTime::new(year, month, day, hour, minute, 0, 0).unwrap();
            zone.to_timestamp(there).unwrap().as_second()
        };
        let now = Time { secs: at(2026, 11, 23, 16, 30), nanos: 0 };
        for (text, expected) in [
            ("2026-12-31T23:59", Some(at(2026, 12, 31, 23, 59))),
            ("26/12/31T23:59", Some(at(2026, 12, 31, 23, 59))),
            ("1-30", Some(at(2027, 1, 30, 0, 0))),
            ("14:00", Some(at(2026, 11, 24, 14, 0))),
            ("17:05", Some(at(2026, 11, 23, 17, 5))),
            ("1", Some(at(2026, 12, 1, 0, 0))),
            ("31", Some(at(2026, 12, 31, 0, 0))),
            (":59", Some(at(2026, 11, 23, 16, 59))),
            (":10", Some(at(2026, 11, 23, 17, 10))),
            ("2026-11-23T16:30", None),
            ("2020-1-1", None),
            ("13-40", None),
            ("25:00", None),
            ("257:00", None),
            ("x", None),
            ("", None),
            ("1-2-3-4", None),
            ("-5", None),
        ] {
            assert_eq!(next(text, now), expected, "{text}");
        }
    }
}
