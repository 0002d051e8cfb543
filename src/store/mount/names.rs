//! The names of a store and their states → names of directories, and numbers that stay.
//!
//! A store's name may have slashes, and a directory's may not: a slash is shown as `#`, which no name has. `.` and `..` are
//! names of a store as well; they are shown with a `:` behind, which no name has either. So no two are shown alike.
//!
//! What was forgotten keeps its number, and is no longer found: who has it open goes on reading for as long as its bytes
//! are there.

use std::collections::{BTreeMap, HashMap};

use crate::fs::Time;
use crate::hash::Hash;
use crate::store::State;
use crate::store::log::RefName;

/// The link to the newest state of a name.
pub(super) const LATEST: &str = "latest";

/// Names and states that were ever seen, by number.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<Named>,
    /// The number of a name, as it is shown.
    shown: BTreeMap<String, u32>,
    states: Vec<Kept>,
    /// The number of a state: by its name, its number in the history and its root.
    numbers: HashMap<(u32, u64, Hash), u32>,
}

/// A name.
pub(super) struct Named {
    /// As it is shown.
    pub(super) shown: String,
    /// The numbers of the states that it has now, as they are shown.
    pub(super) states: BTreeMap<String, u32>,
    /// The newest of them; none of a name that was given up.
    pub(super) newest: Option<u32>,
}

/// A state.
pub(super) struct Kept {
    /// Whose it is.
    pub(super) name: u32,
    /// As it is shown.
    pub(super) shown: String,
    pub(super) state: State,
}

impl Names {
    /// Takes in what the store has now. `time` says how a state's time is written.
    pub(super) fn learn(&mut self, names: &BTreeMap<String, Vec<State>>, time: fn(Time) -> String) {
        for named in &mut self.names {
            named.states.clear();
            named.newest = None;
        }
        for (name, states) in names {
            // What is no name was put there by no program of ours, and need be no name of a directory.
            let Ok(name) = name.parse() else { continue };
            let name = self.number(&name);
            for state in states {
                let shown = format!("{}-{}", state.sequence, time(state.time())).replace('/', "-");
                let next = self.states.len() as u32;
                let key = (name, state.sequence, state.root);
                let number = *self.numbers.entry(key).or_insert(next);
                if number == next {
                    self.states.push(Kept { name, shown: shown.clone(), state: state.clone() });
                }
                let named = &mut self.names[name as usize];
                named.states.insert(shown, number);
                named.newest = Some(number);
            }
        }
    }

    fn number(&mut self, name: &RefName) -> u32 {
        let shown = shown(name);
        if let Some(number) = self.shown.get(&shown) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.shown.insert(shown.clone(), number);
        self.names.push(Named { shown, states: BTreeMap::new(), newest: None });
        number
    }

    /// The names that there are now, as they are shown.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, u32)> {
        let there = |number: &u32| self.names[*number as usize].newest.is_some();
        self.shown.iter().filter(move |(_, number)| there(number)).map(|(name, number)| (&**name, *number))
    }

    /// A name that there is now, by how it is shown.
    pub(super) fn find(&self, shown: &[u8]) -> Option<u32> {
        let number = *self.shown.get(std::str::from_utf8(shown).ok()?)?;
        self.names[number as usize].newest.map(|_| number)
    }

    /// A name, whether it is still there or not.
    pub(super) fn name(&self, number: u32) -> Option<&Named> {
        self.names.get(number as usize)
    }

    /// A state, whether it is still there or not.
    pub(super) fn state(&self, number: u32) -> Option<&Kept> {
        self.states.get(number as usize)
    }

    /// The newest state of a name.
    pub(super) fn newest(&self, name: u32) -> Option<&Kept> {
        self.state(self.name(name)?.newest?)
    }
}

/// How a name is shown: in as many bytes, and one for `.` and `..`.
fn shown(name: &RefName) -> String {
    match name.as_str() {
        dots @ ("." | "..") => format!("{dots}:"),
        name => name.replace('/', "#"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(sequence: u64, byte: u8) -> State {
        let time = (sequence as i64, 0);
        State { sequence, root: Hash([byte; 32]), time, tags: Vec::new(), bytes: 0, files: 0 }
    }

    fn time(time: Time) -> String {
        format!("2026/11/23T{}", time.secs)
    }

    #[test]
    fn names_are_shown_as_names_of_directories_and_no_two_alike() {
        let cases = [
            ("a", "a"),
            ("home/jane", "home#jane"),
            ("/", "#"),
            ("./", ".#"),
            (".", ".:"),
            ("..", "..:"),
            ("...", "..."),
            ("latest", "latest"),
            ("a b", "a b"),
        ];
        let mut names = Names::default();
        let stored = cases.iter().map(|(name, _)| ((*name).to_owned(), vec![state(1, 1)])).collect();
        names.learn(&stored, time);
        for (name, expected) in cases {
            let number = names.find(expected.as_bytes()).unwrap_or_else(|| panic!("{name} as {expected}"));
            assert_eq!(names.name(number).unwrap().shown, expected);
        }
        assert_eq!(names.all().count(), cases.len());
    }

    #[test]
    fn numbers_stay_while_states_come_and_go() {
        let mut names = Names::default();
        let stored = |names: &[(&str, &[State])]| -> BTreeMap<String, Vec<State>> {
            names.iter().map(|(name, states)| ((*name).to_owned(), states.to_vec())).collect()
        };
        names.learn(&stored(&[("x", &[state(1, 1), state(4, 4)])]), time);
        let x = names.find(b"x").unwrap();
        let told: Vec<&String> = names.name(x).unwrap().states.keys().collect();
        assert_eq!(told, ["1-2026-11-23T1", "4-2026-11-23T4"]);
        let newest = names.name(x).unwrap().newest.unwrap();
        names.learn(&stored(&[("a", &[state(5, 5)]), ("x", &[state(4, 4), state(6, 6)])]), time);
        assert_eq!(names.find(b"x"), Some(x));
        assert_eq!(names.name(x).unwrap().states["4-2026-11-23T4"], newest);
        assert_eq!(names.newest(x).unwrap().state.sequence, 6);
        assert_eq!(names.all().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "x"]);
        names.learn(&stored(&[("a", &[state(5, 5)])]), time);
        assert_eq!((names.find(b"x"), names.newest(x).is_none()), (None, true));
        assert_eq!(names.state(newest).unwrap().state.sequence, 4);
        names.learn(&stored(&[("x", &[state(4, 4)])]), time);
        assert_eq!((names.find(b"x"), names.name(x).unwrap().newest), (Some(x), Some(newest)));
    }

    #[test]
    fn what_is_no_name_is_not_shown() {
        let mut names = Names::default();
        let stored = ["a\\b", "", "x\0", " "].map(|name| (name.to_owned(), vec![state(1, 1)]));
        names.learn(&BTreeMap::from(stored), time);
        assert_eq!(names.all().count(), 0);
    }
}
