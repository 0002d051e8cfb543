//! Which metadata counts: it is compared, hashed, and made equal.

use super::attributes::{Class, class};
use super::entry::{DIR, FILE, SYMLINK};
use super::{AttributesId, Entry, Meta, Node};
use crate::fs::{Kind, Special, Time};

/// Which metadata counts. What a profile leaves out is read as zero on both ends, and left alone where it is.
///
/// As bits: those of [`Profile::new`] add; all others take away, so that zero means what it meant before they
/// were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Profile(u16);

/// The attribute that has the capabilities which a program runs with.
const CAPABILITY: &[u8] = b"security.capability";

/// Something that a profile may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The owner.
    Uid,
    /// The group.
    Gid,
    /// Permission bits.
    Mode,
    /// Modification times.
    Time,
    /// Those of directories.
    DirTime,
    /// Those of symbolic links.
    LinkTime,
}

impl Field {
    const ALL: [Field; 6] =
        [Field::Uid, Field::Gid, Field::Mode, Field::Time, Field::DirTime, Field::LinkTime];

    fn bit(self) -> u16 {
        match self {
            Field::Uid => 1 << 2,
            Field::Gid => 1 << 3,
            Field::Mode => 1 << 4,
            Field::Time => 1 << 5,
            Field::DirTime => 1 << 6,
            Field::LinkTime => 1 << 7,
        }
    }
}

impl Profile {
    const OWNER: u16 = 1;
    const SETID: u16 = 1 << 1;
    const EXECUTABLE: u16 = 1 << 8;
    const DEVICES: u16 = 1 << 9;
    const SPECIALS: u16 = 1 << 10;
    const USER_ATTRIBUTES: u16 = 1 << 11;
    const ROOT_ATTRIBUTES: u16 = 1 << 12;
    const ACLS: u16 = 1 << 13;
    const ATIMES: u16 = 1 << 14;
    /// The bits that add.
    const ADDS: u16 = Profile::OWNER
        | Profile::SETID
        | Profile::EXECUTABLE
        | Profile::DEVICES
        | Profile::SPECIALS
        | Profile::USER_ATTRIBUTES
        | Profile::ROOT_ATTRIBUTES
        | Profile::ACLS
        | Profile::ATIMES;

    /// A profile; `owner`: numeric owner and group count. `setid`: the setuid and setgid bits count.
    #[must_use]
    pub fn new(owner: bool, setid: bool) -> Profile {
        Profile((u16::from(owner) * Profile::OWNER) | (u16::from(setid) * Profile::SETID))
    }

    /// The same without `field`.
    #[must_use]
    pub fn without(self, field: Field) -> Profile {
        Profile(self.0 | field.bit())
    }

    /// The same, and whether anybody may execute a file counts, even where its permission bits do not.
    #[must_use]
    pub fn with_executability(self) -> Profile {
        Profile(self.0 | Profile::EXECUTABLE)
    }

    /// The same, and the setuid and setgid bits count.
    #[must_use]
    pub fn with_setid(self) -> Profile {
        Profile(self.0 | Profile::SETID)
    }

    /// The same, and device nodes count.
    #[must_use]
    pub fn with_devices(self) -> Profile {
        Profile(self.0 | Profile::DEVICES)
    }

    /// The same without device nodes.
    #[must_use]
    pub fn without_devices(self) -> Profile {
        Profile(self.0 & !Profile::DEVICES)
    }

    /// The same, and FIFOs and sockets count.
    #[must_use]
    pub fn with_specials(self) -> Profile {
        Profile(self.0 | Profile::SPECIALS)
    }

    /// The same, and extended attributes of the namespace `user` count.
    #[must_use]
    pub fn with_user_attributes(self) -> Profile {
        Profile(self.0 | Profile::USER_ATTRIBUTES)
    }

    /// The same, and extended attributes that only root may read or set count: capabilities where setuid bits do.
    #[must_use]
    pub fn with_root_attributes(self) -> Profile {
        Profile(self.0 | Profile::ROOT_ATTRIBUTES)
    }

    /// The same without those.
    #[must_use]
    pub fn without_root_attributes(self) -> Profile {
        Profile(self.0 & !Profile::ROOT_ATTRIBUTES)
    }

    /// The same, and ACLs count.
    #[must_use]
    pub fn with_acls(self) -> Profile {
        Profile(self.0 | Profile::ACLS)
    }

    /// The same, and access times count.
    #[must_use]
    pub fn with_atimes(self) -> Profile {
        Profile(self.0 | Profile::ATIMES)
    }

    /// Whether access times count.
    #[must_use]
    pub fn atimes(self) -> bool {
        self.0 & Profile::ATIMES != 0
    }

    /// Whether the access time of a name of this kind counts: that of a directory or a symbolic link is only when it
    /// was looked at last.
    #[must_use]
    pub fn has_atime(self, kind: Kind) -> bool {
        self.atimes() && matches!(kind, Kind::File | Kind::Special(_))
    }

    /// Whether any extended attributes count.
    #[must_use]
    pub fn attributes(self) -> bool {
        self.0 & (Profile::USER_ATTRIBUTES | Profile::ROOT_ATTRIBUTES | Profile::ACLS) != 0
    }

    /// Whether the extended attribute of that name counts.
    #[must_use]
    pub fn takes_attribute(self, name: &[u8]) -> bool {
        let bit = match class(name) {
            Class::User => Profile::USER_ATTRIBUTES,
            // It is as good as a setuid bit.
            Class::Root if name == CAPABILITY && !self.setid() => return false,
            Class::Root => Profile::ROOT_ATTRIBUTES,
            Class::Acl => Profile::ACLS,
            Class::Never => return false,
        };
        self.0 & bit != 0
    }

    /// Whether the same extended attributes count in both profiles.
    #[must_use]
    pub fn has_attributes_of(self, other: Profile) -> bool {
        let taken = Profile::USER_ATTRIBUTES | Profile::ROOT_ATTRIBUTES | Profile::ACLS;
        let capabilities = |profile: Profile| profile.takes_attribute(CAPABILITY);
        (self.0 ^ other.0) & taken == 0 && capabilities(self) == capabilities(other)
    }

    fn leaves_out(self, field: Field) -> bool {
        self.0 & field.bit() != 0
    }

    /// Whether the numeric owner counts.
    #[must_use]
    pub fn uid(self) -> bool {
        self.0 & Profile::OWNER != 0 && !self.leaves_out(Field::Uid)
    }

    /// Whether the numeric group counts.
    #[must_use]
    pub fn gid(self) -> bool {
        self.0 & Profile::OWNER != 0 && !self.leaves_out(Field::Gid)
    }

    /// Whether the setuid and setgid bits count, where permission bits do.
    #[must_use]
    pub fn setid(self) -> bool {
        self.0 & Profile::SETID != 0
    }

    /// Whether permission bits count.
    #[must_use]
    pub fn mode(self) -> bool {
        !self.leaves_out(Field::Mode)
    }

    /// Whether it counts that anybody may execute a file, and no other permission bit does.
    #[must_use]
    pub fn executability(self) -> bool {
        !self.mode() && self.0 & Profile::EXECUTABLE != 0
    }

    /// Whether modification times of files count.
    #[must_use]
    pub fn time(self) -> bool {
        !self.leaves_out(Field::Time)
    }

    /// Whether modification times of directories count.
    #[must_use]
    pub fn dir_time(self) -> bool {
        self.time() && !self.leaves_out(Field::DirTime)
    }

    /// Whether modification times of symbolic links count.
    #[must_use]
    pub fn link_time(self) -> bool {
        self.time() && !self.leaves_out(Field::LinkTime)
    }

    /// Whether a name of this kind is part of a tree.
    #[must_use]
    pub fn has(self, what: Special) -> bool {
        self.0 & if what.is_device() { Profile::DEVICES } else { Profile::SPECIALS } != 0
    }

    /// Whether an entry is part of a tree.
    #[must_use]
    pub fn counts(self, entry: &Entry) -> bool {
        match entry.node {
            Node::Special { what, .. } => self.has(what),
            _ => true,
        }
    }

    /// What counts in both profiles.
    #[must_use]
    pub fn meet(self, other: Profile) -> Profile {
        let takes = Field::ALL.iter().fold(0, |bits, field| bits | field.bit());
        Profile(self.0 & other.0 & Profile::ADDS | (self.0 | other.0) & takes)
    }

    /// The profile as a number: bit 0 owner and group, bit 1 setuid and setgid, bit 8 executability, bit 9 device
    /// nodes, bit 10 FIFOs and sockets, bits 11 to 13 extended attributes: the user's, root's, ACLs, bit 14 access times; without: bit 2 owner, 3 group, 4 permission bits, 5 times, 6 those of
    /// directories, 7 those of symbolic links.
    #[must_use]
    pub fn bits(self) -> u16 {
        self.0
    }

    /// The profile that `bits` stand for, or `None` if an unknown bit is set.
    #[must_use]
    pub fn from_bits(bits: u16) -> Option<Profile> {
        (bits < 1 << 15).then_some(Profile(bits))
    }

    /// What of a file's or directory's permission bits counts, where any do.
    #[must_use]
    pub fn file_mode(self, mode: u32) -> u32 {
        mode & if self.setid() { 0o7777 } else { 0o1777 }
    }

    /// What of a directory's metadata counts.
    #[must_use]
    pub fn dir_meta(self, meta: Meta) -> Meta {
        self.normalize(meta, DIR)
    }

    /// `meta` of an entry of kind byte `kind`, with what does not count set to zero.
    pub(super) fn normalize(self, meta: Meta, kind: u8) -> Meta {
        let mode = match kind {
            SYMLINK => 0,
            _ if self.mode() => self.file_mode(meta.mode),
            FILE if self.executability() && meta.mode & 0o111 != 0 => 0o111,
            _ => 0,
        };
        let timed = match kind {
            DIR => self.dir_time(),
            SYMLINK => self.link_time(),
            _ => self.time(),
        };
        Meta {
            mode,
            uid: if self.uid() { meta.uid } else { 0 },
            gid: if self.gid() { meta.gid } else { 0 },
            mtime: if timed { meta.mtime } else { Time::default() },
            atime: if self.atimes() && !matches!(kind, DIR | SYMLINK) { meta.atime } else { 0 },
            attributes: if self.attributes() { meta.attributes } else { AttributesId::default() },
        }
    }

    /// Appends the profile as it stands in a snapshot's root: FORMAT.md, "snapshot root".
    pub(super) fn encode_into(self, bytes: &mut Vec<u8>) {
        // Which kinds of names count, those that are there tell.
        let bits = self.0 & !(Profile::DEVICES | Profile::SPECIALS);
        match u8::try_from(bits) {
            Ok(bits) => bytes.extend_from_slice(&[1, bits]),
            Err(_) => {
                bytes.push(2);
                bytes.extend_from_slice(&bits.to_le_bytes());
            }
        }
    }

    /// Reads what [`encode_into`](Profile::encode_into) wrote from the front of `bytes`; `None` if it is anything else.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Profile> {
        let (bits, rest) = match bytes {
            [1, bits, rest @ ..] => (u16::from(*bits), rest),
            [2, low, high, rest @ ..] if *high > 0 => (u16::from_le_bytes([*low, *high]), rest),
            _ => return None,
        };
        *bytes = rest;
        Profile::from_bits(bits)
    }
}

impl Default for Profile {
    /// Times and permission bits with setuid and setgid; no owner.
    fn default() -> Profile {
        Profile::new(false, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: Meta = Meta {
        mode: 0o4754,
        uid: 7,
        gid: 8,
        mtime: Time { secs: 9, nanos: 10 },
        atime: 0,
        attributes: AttributesId([0; 20]),
    };

    #[test]
    fn what_does_not_count_is_zero() {
        let all = Profile::new(true, true);
        let none = Time::default();
        let executable = all.without(Field::Mode).with_executability();
        for (profile, kind, expected) in [
            (all, FILE, META),
            (Profile::new(true, false), FILE, Meta { mode: 0o754, ..META }),
            (Profile::new(false, true), DIR, Meta { uid: 0, gid: 0, ..META }),
            (all.without(Field::Uid), FILE, Meta { uid: 0, ..META }),
            (all.without(Field::Gid), FILE, Meta { gid: 0, ..META }),
            (all.without(Field::Mode), FILE, Meta { mode: 0, ..META }),
            (executable, FILE, Meta { mode: 0o111, ..META }),
            (executable, DIR, Meta { mode: 0, ..META }),
            (all.without(Field::Time), FILE, Meta { mtime: none, ..META }),
            (all.without(Field::Time), DIR, Meta { mtime: none, ..META }),
            (all.without(Field::DirTime), DIR, Meta { mtime: none, ..META }),
            (all.without(Field::DirTime), FILE, META),
            (all, SYMLINK, Meta { mode: 0, ..META }),
            (all.without(Field::LinkTime), SYMLINK, Meta { mode: 0, mtime: none, ..META }),
        ] {
            assert_eq!(profile.normalize(META, kind), expected, "{profile:?} {kind}");
        }
    }

    #[test]
    fn access_times_count_where_they_are_wished_and_are_not_those_of_looking() {
        let read = Meta { atime: 11, ..META };
        let all = Profile::new(true, true);
        for (profile, kind, expected) in [
            (all, FILE, META),
            (all.with_atimes(), FILE, read),
            (all.with_atimes(), DIR, META),
            (all.with_atimes(), SYMLINK, Meta { mode: 0, ..META }),
        ] {
            assert_eq!(profile.normalize(read, kind), expected, "{profile:?} {kind}");
        }
        let encoded = |profile| {
            let mut bytes = Vec::new();
            read.encode_into(profile, &mut bytes);
            bytes
        };
        assert_eq!(encoded(all.with_atimes()), [encoded(all), 11_i64.to_le_bytes().to_vec()].concat());
    }

    #[test]
    fn attributes_count_by_their_namespace() {
        let (none, all) =
            (Profile::default(), Profile::default().with_user_attributes().with_root_attributes());
        for (name, profile) in [
            ("user.a", none.with_user_attributes()),
            ("trusted.a", none.with_root_attributes()),
            ("security.capability", none.with_root_attributes()),
            ("system.posix_acl_access", none.with_acls()),
            ("system.posix_acl_default", none.with_acls()),
        ] {
            let name = name.as_bytes();
            assert!(profile.takes_attribute(name) && !none.takes_attribute(name));
            let others = [none.with_user_attributes(), none.with_root_attributes(), none.with_acls()];
            assert_eq!(others.iter().filter(|other| other.takes_attribute(name)).count(), 1);
        }
        for name in ["system.nfs4_acl", "user.rsync.%stat", "system."] {
            assert!(!all.with_acls().takes_attribute(name.as_bytes()), "{name}");
        }
        let meta = Meta { attributes: AttributesId([7; 20]), ..META };
        assert_eq!(none.normalize(meta, FILE).attributes, AttributesId::default());
        assert_eq!(none.with_acls().normalize(meta, FILE), Meta { mode: 0o4754, uid: 0, gid: 0, ..meta });
    }

    #[test]
    fn both_profiles_must_count_what_counts() {
        let all = Profile::new(true, true).with_executability().with_devices().with_specials();
        for field in Field::ALL {
            let less = Profile::new(true, true).without(field);
            assert_eq!(all.meet(less), less);
            assert_eq!(less.meet(all), less);
        }
        assert_eq!(all.meet(Profile::new(false, true)), Profile::new(false, true));
        assert_eq!(all.meet(all), all);
    }

    #[test]
    fn bits_beyond_a_byte_make_another_version() {
        let encoded = |profile: Profile| {
            let mut bytes = Vec::new();
            profile.encode_into(&mut bytes);
            bytes
        };
        assert_eq!(encoded(Profile::new(true, true)), [1, 3]);
        assert_eq!(encoded(Profile::new(true, true).with_devices().with_specials()), [1, 3]);
        assert_eq!(encoded(Profile::new(true, true).with_executability()), [2, 3, 1]);
        assert_eq!(Profile::from_bits(1 << 15), None);
    }
}
