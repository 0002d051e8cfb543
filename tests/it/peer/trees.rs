//! A seed → a source, and a destination that resembles it.

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat, utimensat,
};

use super::super::bed::{chmod, is_root, noise};

/// The time that all files' times are near.
const BASE: i64 = 1_600_000_000;

const DIRS: &[&str] = &["", "a", "a/b", "a/b/c", "d d", "e"];
const NAMES: &[&str] = &["f", "g.o", "h.c", "i", "j~", ".k"];

/// A small generator of numbers (SplitMix64), the same for the same seed.
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % limit
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A time of so many seconds. Rsync looks at these alone, so that what is equal in them is equal here.
fn time(secs: i64) -> (i64, i64) {
    (secs, secs % 3 * 250_000_000)
}

/// What a name is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Nothing,
    File {
        len: usize,
    },
    Symlink {
        target: &'static str,
    },
    /// A further name of the file that was made last.
    Link,
    Dir {
        full: bool,
    },
}

#[derive(Clone, Copy)]
struct Made {
    what: What,
    mode: u32,
    uid: u32,
    time: (i64, i64),
}

impl Made {
    fn any(rng: &mut Rng) -> Made {
        let what = match rng.below(20) {
            0..=3 => What::Nothing,
            4..=15 => What::File { len: rng.pick(&[0, 1, 100, 5_000, 200_000]) },
            16 | 17 => What::Symlink { target: rng.pick(&["f", "../side", "nowhere", "/etc/hostname"]) },
            18 => What::Link,
            _ => What::Dir { full: rng.below(2) == 0 },
        };
        let mode = rng.pick(&[0o644, 0o600, 0o755, 0o444, 0o664, 0o711]);
        let secs = BASE + rng.pick(&[0, 0, 1, 2, 3, 10, 100]);
        let uid = if is_root() { rng.pick(&[0, 0, 1000, 1001]) } else { 0 };
        Made { what, mode, uid, time: time(secs) }
    }

    /// What a destination may have in its place.
    fn resembling(self, rng: &mut Rng) -> Made {
        let other = Made::any(rng);
        match rng.below(8) {
            0..=2 => self,
            3 => Made { what: What::Nothing, ..self },
            4 => Made { mode: other.mode, uid: other.uid, ..self },
            5 => Made { time: other.time, ..self },
            _ => other,
        }
    }
}

/// Makes `src`, and `dst` and `ref`, which resemble it, in `root`. `mixed`: a name may be of one kind here and of another there.
/// `links`: files may have several names.
pub(super) fn make(root: &Path, seed: u64, mixed: bool, links: bool) {
    let mut rng = Rng(seed);
    let mut both = Vec::new();
    for dir in DIRS {
        // Each directory itself, and then what is in it.
        let here = Made { what: What::Dir { full: false }, ..Made::any(&mut rng) };
        let there = Made { mode: rng.pick(&[0o755, 0o700]), ..here.resembling(&mut rng) };
        let missing = !dir.is_empty() && rng.below(5) == 0;
        let there = Made { what: if missing { What::Nothing } else { here.what }, ..there };
        both.push(((*dir).to_owned(), Made { mode: 0o755, ..here }, there));
        for name in NAMES {
            let at = if dir.is_empty() { (*name).to_owned() } else { format!("{dir}/{name}") };
            let here = Made::any(&mut rng);
            let there = here.resembling(&mut rng);
            let same_kind = std::mem::discriminant(&here.what) == std::mem::discriminant(&there.what);
            let lacking = here.what == What::Nothing || there.what == What::Nothing;
            let unlinked = |made: Made| match made.what {
                What::Link if !links => Made { what: What::Nothing, ..made },
                _ => made,
            };
            let (here, there) = (unlinked(here), unlinked(there));
            both.push((at, here, if mixed || same_kind || lacking { there } else { here }));
        }
    }
    let side = |dir: &str, pick: &dyn Fn(&(String, Made, Made)) -> Made| {
        let root = root.join(dir);
        fs::create_dir_all(&root).unwrap();
        let all: Vec<(&str, Made)> = both.iter().map(|three| (three.0.as_str(), pick(three))).collect();
        populate(&root, &all);
    };
    side("src", &|three| three.1);
    side("dst", &|three| three.2);
    let third = std::cell::RefCell::new(Rng(!seed));
    side("ref", &|three| match three.1.what {
        What::Dir { .. } => three.1,
        _ => three.1.resembling(&mut third.borrow_mut()),
    });
    linked_dirs(root);
    touch(root, (BASE, 0));
}

/// Adds devices (as root), FIFOs and sockets to `src` and to `dst`, some of them in the place of something else.
pub(super) fn make_special(root: &Path, seed: u64) {
    let mut rng = Rng(seed);
    let kinds = [
        (FileType::Fifo, 0),
        (FileType::Socket, 0),
        (FileType::CharacterDevice, makedev(1, 3)),
        (FileType::CharacterDevice, makedev(1, 5)),
        (FileType::BlockDevice, makedev(7, 300)),
    ];
    let kinds = if is_root() { &kinds[..] } else { &kinds[..2] };
    for at in ["p", "q", "r", "a/p", "d d/p"] {
        for side in ["src", "dst"] {
            let path = root.join(side).join(at);
            let Some(parent) = path.parent().filter(|parent| parent.is_dir()) else { continue };
            if rng.below(4) > 0 {
                let (kind, number) = rng.pick(kinds);
                mknodat(CWD, &path, kind, Mode::from_raw_mode(0o600), number).unwrap();
            } else if side == "dst" {
                fs::write(&path, "x").unwrap();
            } else {
                continue;
            }
            chmod(&path, rng.pick(&[0o600, 0o644]));
            touch(&path, time(BASE + rng.pick(&[0, 1])));
            touch(parent, time(BASE));
        }
    }
}

/// Gives some of what is in `src`, and of what is in `dst`, extended attributes and ACLs.
pub(super) fn make_attributes(root: &Path, seed: u64) {
    let mut rng = Rng(seed);
    // Of a user and a group beside the owner's, with a mask.
    let acl = |user: u32, perms: u16| {
        let none = u32::MAX;
        let all =
            [(1, 6, none), (2, perms, user), (4, 4, none), (8, 5, 1000), (0x10, 7, none), (0x20, 4, none)];
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, perms, id) in all {
            bytes.extend([u16::to_le_bytes(tag), u16::to_le_bytes(perms)].concat());
            bytes.extend(u32::to_le_bytes(id));
        }
        bytes
    };
    for side in ["src", "dst"] {
        for at in DIRS.iter().flat_map(|dir| {
            [*dir]
                .into_iter()
                .chain(NAMES.iter().copied())
                .map(move |name| if name == *dir { (*dir).to_owned() } else { format!("{dir}/{name}") })
        }) {
            let path = root.join(side).join(at.trim_start_matches('/'));
            if !path.exists() || path.is_symlink() {
                continue;
            }
            let set = |key: &str, value: &[u8]| {
                lsetxattr(&path, key, value, XattrFlags::empty()).unwrap();
            };
            if rng.below(2) == 0 {
                set("user.one", rng.pick(&[&b"1"[..], b"2", b""]));
            }
            if rng.below(3) == 0 {
                set("user.two", b"\0\xff");
            }
            if rng.below(3) == 0 {
                set("trusted.three", rng.pick(&[&b"a"[..], b"b"]));
            }
            if rng.below(3) == 0 {
                set("system.posix_acl_access", &acl(rng.pick(&[1000, 1001]), rng.pick(&[4, 6])));
            }
            if path.is_dir() && rng.below(3) == 0 {
                set("system.posix_acl_default", &acl(1000, rng.pick(&[4, 6])));
            }
        }
    }
}

/// What links lead to: a directory beside the source, and one in it.
fn linked_dirs(root: &Path) {
    fs::create_dir_all(root.join("side/in")).unwrap();
    for at in ["side/y", "side/in/z"] {
        fs::write(root.join(at), at).unwrap();
    }
    symlink("d d", root.join("src/within")).unwrap();
    for at in ["side/in/z", "side/in", "side/y", "side", "src/within"] {
        touch(&root.join(at), (BASE + 5, 0));
    }
}

fn populate(root: &Path, all: &[(&str, Made)]) {
    let mut last_file = None;
    for (at, made) in all {
        let path = root.join(at);
        if path.parent().is_none_or(|parent| !parent.is_dir()) {
            continue;
        }
        match made.what {
            What::Nothing => continue,
            What::File { len } => {
                fs::write(&path, noise(made.time.0 as u64, len)).unwrap();
                last_file = Some(path.clone());
            }
            What::Symlink { target } => symlink(target, &path).unwrap(),
            What::Link => match &last_file {
                Some(file) => fs::hard_link(file, &path).unwrap(),
                None => continue,
            },
            What::Dir { full } => {
                fs::create_dir_all(&path).unwrap();
                if full {
                    fs::write(path.join("x"), "x").unwrap();
                    touch(&path.join("x"), made.time);
                }
            }
        }
        if made.what == What::Link {
            continue;
        }
        if is_root() {
            lchown(&path, Some(made.uid), Some(made.uid)).unwrap();
        }
        if !path.is_symlink() {
            chmod(&path, made.mode);
        }
        touch(&path, made.time);
    }
    // Children have touched their directories.
    for (at, made) in all.iter().rev() {
        if matches!(made.what, What::Dir { .. }) && root.join(at).is_dir() {
            touch(&root.join(at), made.time);
        }
    }
}

pub(super) fn touch(path: &Path, (secs, nanos): (i64, i64)) {
    let time = Timespec { tv_sec: secs, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
