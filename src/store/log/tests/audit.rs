//! What is found in a history that somebody changed.

use super::*;

/// Two names, each with entries that are tagged and forgotten, and one that was removed and is used again.
fn history() -> Writer {
    let mut log = Writer::new(7);
    log.append("a", put(0)).append("b", put(1)).append("a", put(2));
    log.append("a", Action::Tag { of: 0, tags: tags(&["daily"]) });
    log.append("a", Action::Forget(Forgotten::new([(0, root(0)), (2, root(2))]).unwrap()));
    log.append("b", Action::Remove).append("b", put(6));
    log
}

fn check(records: &[Record], head: TreeHead, remembered: Option<Remembered>) -> Verdict {
    match Auditor::new(STORE, head, remembered) {
        Ok(auditor) => audit(auditor, records.iter().map(Record::encode)),
        Err(evidence) => Verdict::Evidence(evidence),
    }
}

fn evidence(records: &[Record], head: TreeHead, remembered: Option<Remembered>) -> Evidence {
    match check(records, head, remembered) {
        Verdict::Evidence(evidence) => *evidence,
        Verdict::Fine(_) => panic!("nothing was found"),
    }
}

#[test]
fn a_history_that_only_grew_is_fine() {
    let log = history();
    for seen in 0..=log.records.len() {
        let before = Writer { records: log.records[..seen].to_vec(), ..log.clone() };
        let remembered = Remembered { head: before.head(), records: before.records };
        let fine = Verdict::Fine(log.frontier());
        assert_eq!(check(&log.records, log.head(), Some(remembered)), fine, "after {seen}");
    }
    assert_eq!(check(&[], Writer::new(7).head(), None), Verdict::Fine(Frontier::new()));
}

#[test]
fn a_rewritten_history_is_shown_with_both_records() {
    let log = history();
    for at in 0..3 {
        // The same peer says something else from there on: only it could.
        let mut other = Writer { records: log.records[..at].to_vec(), ..log.clone() };
        for _ in 0..6 {
            other.append("b", put(99));
        }
        let head = other.head();
        let without = evidence(&other.records, head, Some(log.remember()));
        let expected = match at {
            0 => Evidence::RolledBack { ours: log.head(), theirs: head },
            _ => Evidence::Forked { ours: log.head(), theirs: head, records: None },
        };
        assert_eq!(without, expected);

        let remembered = Remembered { records: log.records.clone(), ..log.remember() };
        let found = evidence(&other.records, head, Some(remembered));
        let Evidence::Forked { records: Some(records), .. } = &found else { panic!("{found}") };
        assert_eq!(**records, (log.records[at].clone(), other.records[at].clone()));
        let shown = found.to_string();
        for signed in [&records.0, &records.1] {
            assert_eq!(signed.verify(), Ok(()));
            let signature: String = signed.signature().iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(shown.contains(&signature) && shown.contains(&signed.leaf().to_string()), "{shown}");
        }
        for head in [log.head(), head] {
            assert!(shown.contains(&head.to_string()), "{shown}");
        }
    }
}

#[test]
fn a_shorter_history_is_a_rollback() {
    let log = history();
    for len in 0..log.records.len() {
        let before = Writer { records: log.records[..len].to_vec(), ..log.clone() };
        let found = evidence(&before.records, before.head(), Some(log.remember()));
        assert_eq!(found, Evidence::RolledBack { ours: log.head(), theirs: before.head() });
        assert!(found.to_string().contains(&format!("it had 7 records and has {len}")), "{found}");
    }
}

#[test]
fn a_history_of_the_same_length_with_another_root_is_forked() {
    let log = history();
    let mut other = Writer { records: log.records[..6].to_vec(), ..log.clone() };
    other.append("b", put(7));
    let found = evidence(&other.records, other.head(), Some(log.remember()));
    let expected = Evidence::Forked { ours: log.head(), theirs: other.head(), records: None };
    assert_eq!(found, expected);
}

#[test]
fn records_that_the_tree_head_is_not_of_are_found() {
    let log = history();
    let (records, head) = (&log.records, log.head());
    let is_found = |records: &[Record]| matches!(evidence(records, head, None), Evidence::OtherRecords { head: of, .. } if of == head);
    assert!(is_found(&records[..6]), "the last is missing");
    assert!(is_found(&[]));
    assert!(is_found(log.clone().append("c", put(9)).records.as_slice()), "one is too many");
    let mut other = Writer { records: records[..6].to_vec(), ..log.clone() };
    assert!(is_found(other.append("b", put(8)).records.as_slice()), "the last is another");
}

#[test]
fn records_out_of_place_are_found() {
    let log = history();
    let mut swapped = log.records.clone();
    swapped.swap(1, 2);
    let found = evidence(&swapped, log.head(), None);
    assert_eq!(found, Evidence::Misplaced { sequence: 1, store: STORE, record: log.records[2].clone() });
    let mut without = log.records.clone();
    without.remove(3);
    assert!(matches!(evidence(&without, log.head(), None), Evidence::Misplaced { sequence: 3, .. }));
    let mut foreign = log.clone();
    let draft = Draft { store: [0; 16], ..log.draft("a", put(9)) };
    foreign.records.push(Record::sign(&log.identity, draft));
    assert!(matches!(
        evidence(&foreign.records, foreign.head(), None),
        Evidence::Misplaced { sequence: 7, .. }
    ));
}

#[test]
fn each_record_must_be_signed_and_whole() {
    let log = history();
    for at in 0..log.records.len() {
        let mut bytes: Vec<Vec<u8>> = log.records.iter().map(Record::encode).collect();
        bytes[at][40] ^= 1; // the peer's key
        let auditor = Auditor::new(STORE, log.head(), None).unwrap();
        let Verdict::Evidence(found) = audit(auditor, &bytes) else { panic!("record {at}") };
        assert!(matches!(*found, Evidence::BadSignature { record } if record.draft().sequence == at as u64));
        bytes[at].pop();
        let auditor = Auditor::new(STORE, log.head(), None).unwrap();
        let error = LogError::Malformed { what: "record" };
        let expected = Evidence::Malformed { sequence: at as u64, error };
        assert_eq!(audit(auditor, &bytes), Verdict::Evidence(Box::new(expected)));
    }
}

#[test]
fn a_record_follows_its_names_last_one() {
    let log = history();
    let last = (4, log.records[4].leaf());
    for previous in [None, Some(log.records[3].leaf()), Some(log.records[6].leaf())] {
        let draft = Draft { previous, ..log.draft("a", put(9)) };
        let mut other = log.clone();
        other.records.push(Record::sign(&log.identity, draft));
        let record = other.records[7].clone();
        let expected = Evidence::BrokenChain { record, last: Some(last) };
        assert_eq!(evidence(&other.records, other.head(), None), expected);
    }
    let draft = Draft { previous: Some(last.1), ..log.draft("new", put(9)) };
    let mut other = log.clone();
    other.records.push(Record::sign(&log.identity, draft));
    assert!(matches!(evidence(&other.records, other.head(), None), Evidence::BrokenChain { last: None, .. }));
}

#[test]
fn a_record_is_about_entries_that_stand() {
    let log = history();
    let forget = |of, root| Action::Forget(Forgotten::new([(of, root)]).unwrap());
    let tag = |of| Action::Tag { of, tags: tags(&["x"]) };
    for (to, action, of) in [
        ("a", tag(0), 0),
        ("a", forget(2, root(2)), 2),
        ("b", tag(1), 1),
        ("b", tag(0), 0),
        ("b", forget(6, root(5)), 6),
        ("b", tag(u64::MAX), u64::MAX),
        ("c", tag(6), 6),
    ] {
        let mut other = log.clone();
        other.append(to, action);
        let expected = Evidence::NoSuchEntry { record: other.records[7].clone(), of };
        assert_eq!(evidence(&other.records, other.head(), None), expected);
    }
    let mut other = log.clone();
    other.append("b", tag(6)).append("b", forget(6, root(6)));
    assert_eq!(check(&other.records, other.head(), None), Verdict::Fine(other.frontier()));
}

#[test]
fn a_name_can_be_asked_to_be_of_one_peer() {
    let mut log = history();
    log.identity = identity(8);
    log.append("b", put(9));
    let run = |name: &str, peer: &Identity| {
        let auditor = Auditor::new(STORE, log.head(), None).unwrap();
        let auditor = auditor.by(name.parse().unwrap(), peer.peer_id());
        audit(auditor, log.records.iter().map(Record::encode))
    };
    let foreign = |at: usize, expected: &Identity| {
        let (record, expected) = (log.records[at].clone(), expected.peer_id());
        Verdict::Evidence(Box::new(Evidence::OtherPeer { record, expected }))
    };
    assert_eq!(run("a", &identity(7)), Verdict::Fine(log.frontier()));
    assert_eq!(run("b", &identity(7)), foreign(7, &identity(7)));
    assert_eq!(run("b", &identity(8)), foreign(1, &identity(8)));
}

#[test]
fn a_tree_head_is_signed_by_the_last_records_peer_and_for_this_store() {
    let log = history();
    let cut = Writer { identity: identity(8), records: log.records[..5].to_vec() };
    let last = log.records[4].clone();
    let expected = Evidence::OtherSigner { head: cut.head(), last };
    assert_eq!(evidence(&cut.records, cut.head(), None), expected);

    let mut bytes = log.head().encode();
    bytes[60] ^= 1;
    let unsigned = TreeHead::decode(&bytes).unwrap();
    let foreign = TreeHead::sign(&log.identity, [0; 16], &log.frontier(), log.time());
    for bad in [unsigned, foreign] {
        let theirs = Evidence::BadHead { whose: Whose::Theirs, head: bad, store: STORE };
        assert_eq!(evidence(&log.records, bad, None), theirs);
        let remembered = Remembered { head: bad, records: vec![] };
        let ours = Evidence::BadHead { whose: Whose::Ours, head: bad, store: STORE };
        assert_eq!(evidence(&log.records, log.head(), Some(remembered)), ours);
    }
}

#[test]
fn kept_records_that_prove_nothing_are_passed_over() {
    let log = history();
    let mut bytes = log.records[1].encode();
    bytes[30] ^= 1;
    let unsigned = Record::decode(&bytes).unwrap();
    let foreign = Record::sign(&log.identity, Draft { store: [0; 16], ..log.records[1].draft().clone() });
    let beyond = Record::sign(&log.identity, log.draft("z", put(1)));
    let remembered = Remembered { head: log.head(), records: vec![unsigned, foreign, beyond] };
    let mut grown = log.clone();
    grown.append("a", put(8));
    assert_eq!(check(&grown.records, grown.head(), Some(remembered)), Verdict::Fine(grown.frontier()));
}
