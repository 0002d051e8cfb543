//! Owners of the sender's tree → the receiver's ids of those who have the same names there.
//!
//! The sender asks once, before it tells its root, and from then on its tree is seen with the receiver's ids: both
//! ends prove the same root, and a receiver knows of no other ids than its own. Ids without a name, or with one that
//! the receiver lacks, go as they are, and so does 0, as with rsync. Nothing is asked of a tree that is all 0's, nor
//! where the user maps ids, wants numbers, or does not want owners at all.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;

use super::Options;
use crate::codec::Bounded;
use crate::fs::lens::Lens;
use crate::snapshot::{Meta, Profile, Snapshot};
use crate::transfer::message::{Message, OWNERS_MAX, Text};
use crate::transfer::{ProtocolError, violation};

/// Longest name that is asked for, in bytes: [`OWNERS_MAX`] users and as many groups fit into a frame.
const NAME_BYTES_MAX: usize = 255;

/// Users or groups of this machine.
#[derive(Clone, Copy)]
enum Of {
    Users,
    Groups,
}

impl Of {
    fn name(self, id: u32) -> Option<Text> {
        let name = match self {
            Of::Users => uzers::get_user_by_uid(id)?.name().to_owned(),
            Of::Groups => uzers::get_group_by_gid(id)?.name().to_owned(),
        };
        Text::new(name.as_bytes().to_vec()).ok().filter(|name| name.len() <= NAME_BYTES_MAX)
    }

    fn id(self, name: &[u8]) -> Option<u32> {
        let name = std::ffi::OsStr::from_bytes(name);
        match self {
            Of::Users => uzers::get_user_by_name(name).map(|user| user.uid()),
            Of::Groups => uzers::get_group_by_name(name).map(|group| group.gid()),
        }
    }

    /// The ids that are used and have a name, with it.
    fn named(self, ids: BTreeSet<u32>) -> (Vec<u32>, Vec<Text>) {
        let named = ids.into_iter().filter(|id| *id != 0).filter_map(|id| Some((id, self.name(id)?)));
        named.take(OWNERS_MAX).unzip()
    }
}

/// Whose ids the receiver was asked for, in the order of the question.
pub(super) struct Asked {
    users: Vec<u32>,
    groups: Vec<u32>,
}

impl Asked {
    /// What to ask of the receiver of a tree, and the question; `None` if there is nothing to ask.
    pub(super) fn of(snapshot: &Snapshot, options: &Options) -> Option<(Asked, Message<'static>)> {
        let (profile, view) = (snapshot.profile(), &options.view);
        let metas = || snapshot.all_entries().iter().map(|entry| entry.meta).chain([snapshot.meta()]);
        let ids = |counts: bool, id: fn(Meta) -> u32| -> BTreeSet<u32> {
            metas().filter(|_| counts && !view.numeric_ids).map(id).collect()
        };
        let users = ids(profile.uid() && view.users.is_empty(), |meta| meta.uid);
        let groups = ids(profile.gid() && view.groups.is_empty(), |meta| meta.gid);
        let (users, user_names) = Of::Users.named(users);
        let (groups, group_names) = Of::Groups.named(groups);
        if users.is_empty() && groups.is_empty() {
            return None;
        }
        let question = Message::Names {
            users: Bounded::new(user_names).unwrap_or_default(),
            groups: Bounded::new(group_names).unwrap_or_default(),
        };
        Some((Asked { users, groups }, question))
    }

    /// How the tree is to be seen, once the receiver has answered with its ids.
    pub(super) fn answered(
        &self,
        users: &[Option<u32>],
        groups: &[Option<u32>],
    ) -> Result<Lens, ProtocolError> {
        if users.len() != self.users.len() || groups.len() != self.groups.len() {
            return Err(violation("ids that were not asked for"));
        }
        let map = |ours: &[u32], theirs: &[Option<u32>]| {
            let both = ours.iter().zip(theirs).filter_map(|(ours, theirs)| Some((*ours, (*theirs)?)));
            both.filter(|(ours, theirs)| ours != theirs).map(|(ours, theirs)| (ours..=ours, theirs)).collect()
        };
        Ok(Lens { users: map(&self.users, users), groups: map(&self.groups, groups), ..Lens::default() })
    }
}

/// The answer: who has these names here.
pub(super) fn answer(
    profile: Profile,
    users: &[Text],
    groups: &[Text],
) -> Result<Message<'static>, ProtocolError> {
    if !users.is_empty() && !profile.uid() || !groups.is_empty() && !profile.gid() {
        return Err(violation("names of owners, which do not count"));
    }
    let ids = |of: Of, names: &[Text]| Bounded::new(names.iter().map(|name| of.id(name)).collect());
    Ok(Message::Ids {
        users: ids(Of::Users, users).unwrap_or_default(),
        groups: ids(Of::Groups, groups).unwrap_or_default(),
    })
}

/// Sees a tree with other owners, until it is [`restore`]d: gives what they were.
pub(super) fn change(snapshot: &mut Snapshot, lens: &Lens) -> Vec<(u32, u32)> {
    let find = |map: &[(std::ops::RangeInclusive<u32>, u32)]| -> HashMap<u32, u32> {
        map.iter().map(|(from, to)| (*from.start(), *to)).collect()
    };
    let (users, groups) = (find(&lens.users), find(&lens.groups));
    let mut before = Vec::with_capacity(snapshot.entry_count() as usize + 1);
    snapshot.set_owners(|uid, gid| {
        before.push((uid, gid));
        (users.get(&uid).copied().unwrap_or(uid), groups.get(&gid).copied().unwrap_or(gid))
    });
    before
}

/// Gives a tree its owners back.
pub(super) fn restore(snapshot: &mut Snapshot, before: &[(u32, u32)]) {
    let mut before = before.iter();
    snapshot.set_owners(|uid, gid| before.next().copied().unwrap_or((uid, gid)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_same_name_take_the_place_of_others() {
        let asked = Asked { users: vec![7, 8, 9], groups: vec![7] };
        let lens = asked.answered(&[Some(70), None, Some(9)], &[Some(8)]).unwrap();
        assert_eq!((lens.users, lens.groups), (vec![(7..=7, 70)], vec![(7..=7, 8)]));
        assert!(asked.answered(&[Some(70), None], &[Some(8)]).is_err());
        assert!(asked.answered(&[None; 3], &[]).is_err());
    }

    #[test]
    fn names_are_answered_where_owners_count() {
        let root =
            [Text::new(b"root".to_vec()).unwrap(), Text::new(b"no one by this name".to_vec()).unwrap()];
        let Ok(Message::Ids { users, groups }) = answer(Profile::new(true, false), &root, &[]) else {
            panic!("no ids")
        };
        assert_eq!((&*users, &*groups), (&[Some(0), None][..], &[][..]));
        assert!(answer(Profile::new(false, false), &root, &[]).is_err());
    }
}
