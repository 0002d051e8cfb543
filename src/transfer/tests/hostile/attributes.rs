//! Senders that lie about extended attributes.

use bytes::Bytes;

use super::*;
use crate::limits::{ATTRIBUTE_VALUE_BYTES_MAX, SETS_BYTES_MAX};
use crate::snapshot::Profile;

/// The code with which a session ends in which the sender says all this.
fn code(profile: Profile, messages: &[Message<'_>]) -> Option<u8> {
    let mut own = scanned(&destination(), &small_params(), true).snapshot;
    own.set_profile(profile);
    own.refresh();
    let locals = Locals::new(Box::new(|_| None), Vec::new());
    let receiver = Receiver::new(Arc::new(own), locals, claim(), Protected::default(), Options::default());
    let mut receiver = receiver.unwrap();
    let mut say = |message: &Message<'_>| receiver.handle(message.clone(), &Bytes::new()).err();
    messages.iter().find_map(&mut say).map(|error| SyncError::from(error).code())
}

fn told(sets: &[&[(&[u8], usize)]], of: &[(u32, u32)]) -> Message<'static> {
    let pair = |(name, len): &(&[u8], usize)| {
        (Bounded::new(name.to_vec()).unwrap(), Bounded::new(vec![b'x'; *len]).unwrap())
    };
    let set = |set: &&[(&[u8], usize)]| Bounded::new(set.iter().map(pair).collect()).unwrap();
    Message::Attributes {
        sets: Bounded::new(sets.iter().map(set).collect()).unwrap(),
        of: Bounded::new(of.to_vec()).unwrap(),
    }
}

#[test]
fn attributes_that_lie_are_refused() {
    let user = Profile::default().with_user_attributes();
    let good: &[(&[u8], usize)] = &[(b"user.a", 1)];
    assert_eq!(code(user, &[told(&[good], &[(0, 0), (9, 0)])]), None);
    for (what, profile, message) in [
        ("none were agreed on", Profile::default(), told(&[good], &[])),
        ("a capability", user, told(&[&[(b"security.capability", 20)]], &[])),
        ("an ACL", user, told(&[&[(b"system.posix_acl_access", 4)]], &[])),
        ("the kernel's", user.with_root_attributes().with_acls(), told(&[&[(b"system.data", 4)]], &[])),
        ("what rsync keeps for itself", user, told(&[&[(b"user.rsync.%stat", 4)]], &[])),
        ("no name", user.with_root_attributes(), told(&[&[(b"", 1)]], &[])),
        ("a zero byte", user, told(&[&[(b"user.a\0b", 1)]], &[])),
        ("a name twice", user, told(&[&[(b"user.a", 1), (b"user.a", 2)]], &[])),
        ("an empty set", user, told(&[&[]], &[])),
        ("a set that was not told", user, told(&[good], &[(0, 1)])),
        ("an entry beyond the tree", user, told(&[good], &[(10, 0)])),
    ] {
        assert_eq!(code(profile, &[message]), Some(12), "{what}");
    }
    let large: &[(&[u8], usize)] = &[(b"user.a", ATTRIBUTE_VALUE_BYTES_MAX)];
    let many = vec![told(&[large; 8], &[]); SETS_BYTES_MAX / ATTRIBUTE_VALUE_BYTES_MAX / 8 + 1];
    assert_eq!(code(user, &many), Some(22), "too much");
}
