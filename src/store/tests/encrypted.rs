//! What whoever keeps an encrypted store, or has the wrong key, can tell.

use super::*;
use crate::store::seal::SealError;

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// Everything that lies in a place.
fn all_bytes(blobs: &MemoryBlobs) -> Vec<bytes::Bytes> {
    let infos = BlobKind::ALL.iter().flat_map(|kind| blobs.list(*kind).unwrap());
    let mut all: Vec<_> = infos.map(|info| blobs.read(&info.name, 0..info.len).unwrap()).collect();
    all.extend([blobs.head().unwrap().unwrap().bytes, blobs.settings().unwrap()]);
    all
}

/// Puts a tree, and so many changes behind it that some are no longer in the head.
fn filled(machine: &Machine) -> (Arc<MemoryBlobs>, Put, MemFs) {
    let blobs = Arc::new(MemoryBlobs::default());
    let store = machine.store(blobs.clone());
    let fs = tree(21, 24);
    write(&fs, "d0/telling-name", b"these words are not for everybody");
    let put = machine.put(&store, "telling-ref", &fs).unwrap();
    for at in 0..260_u32 {
        let tag = format!("telling-tag{at}").parse().unwrap();
        store.tag(&"telling-ref".parse().unwrap(), put.state.sequence, &[tag], machine.signer()).unwrap();
    }
    (blobs, put, fs)
}

#[test]
fn nothing_that_lies_there_says_what_was_put() {
    let tells = |machine: &Machine| {
        let (blobs, put, _) = filled(machine);
        let words = ["telling-name", "telling-ref", "telling-tag", "words are not for"].map(str::as_bytes);
        let mut telling: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        telling.push(put.state.root.0.to_vec());
        let roots = put.snapshot.all_entries().iter().filter_map(crate::snapshot::Entry::root);
        telling.extend(roots.map(|root| root.0.to_vec()));
        let all = all_bytes(&blobs);
        telling.iter().filter(|what| all.iter().any(|bytes| contains(bytes, what))).count()
    };
    assert_eq!(tells(&Machine::keyed()), 0);
    assert!(tells(&Machine::new()) > 20, "the test finds it where it is");
}

#[test]
fn a_store_is_opened_by_its_own_key_alone() {
    let machine = Machine::keyed();
    let (blobs, put, fs) = filled(&machine);
    let open = |unlock: Unlock<'_>| -> Result<Store, StoreError> {
        Store::open_with(blobs.clone(), |wrapped| Ok(wrapped.open(unlock)?))
    };
    assert!(matches!(Store::open(blobs.clone()), Err(StoreError::Encrypted)));
    let wrong = |unlock: Unlock<'_>| match open(unlock) {
        Err(StoreError::Seal(error)) => error,
        other => panic!("{:?}", other.err()),
    };
    assert_eq!(wrong(Unlock::KeyFile(&[8; 32])), SealError::WrongKeyFile);
    assert_eq!(wrong(Unlock::Passphrase(b"words")), SealError::NeedsKeyFile);
    holds(&Arc::new(open(KEY_FILE).unwrap()), &put, &machine, &fs);

    // Another key for the same data.
    let store = open(KEY_FILE).unwrap();
    let cheap = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    let words = Unlock::Passphrase(b"other words");
    let anew = store.settings().key.unwrap().wrapped_anew(words, cheap).unwrap();
    store.rewrap(&anew).unwrap();
    assert_eq!(wrong(KEY_FILE), SealError::NeedsPassphrase);
    holds(&Arc::new(open(words).unwrap()), &put, &machine, &fs);
    let foreign = Key::generate(KEY_FILE, cheap).unwrap();
    assert!(matches!(store.rewrap(&foreign), Err(StoreError::Encrypted)));
}

/// Parts of one store do not stand for those of another, though both hold the same.
#[test]
fn stores_of_other_keys_share_nothing() {
    let (one, other) = (Machine::keyed(), Machine::keyed());
    let (blobs, put, _) = filled(&one);
    let (_, theirs, _) = filled(&other);
    let lengths = |machine: &Machine, put: &Put| {
        let store = Arc::new(machine.store(Arc::new(MemoryBlobs::default())));
        let fs = tree(21, 24);
        let again = machine.put(&store, "a", &fs).unwrap();
        assert_ne!(again.state.root, put.state.root);
        let files = again.snapshot.all_entries().iter().filter_map(|entry| match &entry.node {
            crate::snapshot::Node::File { root: Some(root), size, .. } => Some((*root, *size)),
            _ => None,
        });
        files
            .flat_map(|(root, size)| store.chunks(&root, size).unwrap().into_iter().map(|chunk| chunk.len))
            .collect::<Vec<_>>()
    };
    assert_ne!(lengths(&one, &put), lengths(&other, &theirs), "files are cut under the key");
    let store = one.open(blobs).unwrap();
    let elsewhere = other.store(Arc::new(MemoryBlobs::default()));
    let copied = store.copy_to(&elsewhere, &put.state, &"a".parse().unwrap(), one.signer(), &());
    assert!(matches!(copied, Err(StoreError::Unlike)));
    // A store that is made like the first has its key.
    let like = Arc::new(MemoryBlobs::default());
    let like = Store::create(like, [8; 16], &store.settings(), one.signer()).unwrap();
    let (state, _) = store.copy_to(&like, &put.state, &"a".parse().unwrap(), one.signer(), &()).unwrap();
    assert_eq!(state.root, put.state.root);
    assert!(like.check(&Check { read_percent: 100, seed: 0 }, &()).unwrap().is_fine());
}

#[test]
fn collecting_and_the_history_are_those_of_any_store() {
    let machine = Machine::keyed();
    let (blobs, put, fs) = filled(&machine);
    let store = Arc::new(machine.open(blobs.clone()).unwrap());
    assert!(matches!(store.audit(None, None), Ok(Verdict::Fine(frontier)) if frontier.size() == 261));
    write(&fs, "d0/f0", b"changed");
    let second = machine.put(&store, "telling-ref", &fs).unwrap();
    assert!(second.added.objects < 10, "{:?}", second.added);
    machine.forget(&store, "telling-ref", put.state.sequence);
    let collect = Collect { dry_run: false, grace_secs: 0, now: Time::default(), unused_percent: 1 };
    assert!(store.collect(&collect, &()).unwrap().removed > 0);
    // The index is made anew from sealed packs.
    for info in blobs.list(BlobKind::Index).unwrap() {
        blobs.remove(&info.name).unwrap();
    }
    let store = Arc::new(machine.open(blobs).unwrap());
    holds(&store, &second, &machine, &fs);
    assert!(store.check(&Check { read_percent: 100, seed: 0 }, &()).unwrap().is_fine());
}
