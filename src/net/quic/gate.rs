//! Who may come in: counts of what is half open and open, by address and key.
//!
//! An address counts only once it is proven, or an attacker could lock its victims out by using their addresses.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use super::Limits;
use crate::net::PeerId;

/// The limits that a server keeps, and how far each is used.
pub(super) struct Gate {
    limits: Limits,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    half_open: usize,
    open: usize,
    by_ip: HashMap<IpAddr, usize>,
    by_key: HashMap<PeerId, usize>,
}

/// What becomes of a client's first packet.
pub(super) enum Verdict {
    /// Its handshake may begin.
    Enter(HalfOpen),
    /// It has to prove its address first.
    Retry,
    /// There is no room for it.
    Refuse,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Arc<Gate> {
        Arc::new(Gate { limits, counts: Mutex::default() })
    }

    /// Judges a first packet that comes from `ip`, which is `proven` or only claimed.
    pub(super) fn knock(self: &Arc<Gate>, ip: IpAddr, proven: bool) -> Verdict {
        let mut counts = self.counts();
        if !proven && counts.half_open >= self.limits.retry_above {
            return Verdict::Retry;
        }
        let ip = proven.then(|| network(ip));
        let crowded = ip.is_some_and(|ip| counts.of_ip(&ip) >= self.limits.connections_per_ip_max);
        if counts.half_open >= self.limits.half_open_max || crowded {
            return Verdict::Refuse;
        }
        counts.half_open += 1;
        if let Some(ip) = ip {
            *counts.by_ip.entry(ip).or_default() += 1;
        }
        Verdict::Enter(HalfOpen { gate: self.clone(), ip })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("nothing panics with this lock")
    }
}

impl Counts {
    fn of_ip(&self, ip: &IpAddr) -> usize {
        self.by_ip.get(ip).copied().unwrap_or_default()
    }
}

/// A place among the half-open handshakes, held until dropped.
pub(super) struct HalfOpen {
    gate: Arc<Gate>,
    /// The address, if it was proven at the start.
    ip: Option<IpAddr>,
}

impl HalfOpen {
    /// Turns the place into one among the open connections; `None` if one of their limits is reached.
    pub(super) fn open(self, ip: IpAddr, key: PeerId) -> Option<Slot> {
        let gate = self.gate.clone();
        drop(self);
        let ip = network(ip);
        let limits = &gate.limits;
        let mut counts = gate.counts();
        let full = counts.open >= limits.connections_max
            || counts.of_ip(&ip) >= limits.connections_per_ip_max
            || counts.by_key.get(&key).is_some_and(|&count| count >= limits.connections_per_key_max);
        if full {
            return None;
        }
        counts.open += 1;
        *counts.by_ip.entry(ip).or_default() += 1;
        *counts.by_key.entry(key).or_default() += 1;
        drop(counts);
        Some(Slot { gate, ip, key })
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        counts.half_open -= 1;
        if let Some(ip) = self.ip {
            release(&mut counts.by_ip, ip);
        }
    }
}

/// A place among the open connections, held until dropped.
pub(super) struct Slot {
    gate: Arc<Gate>,
    ip: IpAddr,
    key: PeerId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        counts.open -= 1;
        release(&mut counts.by_ip, self.ip);
        release(&mut counts.by_key, self.key);
    }
}

/// Counts one down, and forgets what is at zero: strangers leave nothing behind.
fn release<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// What counts as one address: for IPv6 the /64, of which a single host has all.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PeerId = PeerId([1; 32]);

    fn gate() -> Arc<Gate> {
        let limits = Limits {
            retry_above: 2,
            half_open_max: 4,
            connections_max: 3,
            connections_per_ip_max: 2,
            connections_per_key_max: 2,
            ..Limits::default()
        };
        Gate::new(limits)
    }

    fn enter(gate: &Arc<Gate>, ip: &str, proven: bool) -> Option<HalfOpen> {
        match gate.knock(ip.parse().unwrap(), proven) {
            Verdict::Enter(place) => Some(place),
            Verdict::Retry | Verdict::Refuse => None,
        }
    }

    #[test]
    fn claimed_addresses_neither_fill_the_house_nor_lock_their_owners_out() {
        let gate = gate();
        let ip = "192.0.2.1".parse().unwrap();
        let claimed: Vec<_> = (0..2).map(|_| enter(&gate, "192.0.2.1", false).unwrap()).collect();
        assert!(matches!(gate.knock(ip, false), Verdict::Retry));
        let proven = enter(&gate, "192.0.2.1", true).unwrap();
        assert!(proven.open(ip, KEY).is_some());
        drop(claimed);
        assert!(enter(&gate, "192.0.2.1", false).is_some());
    }

    #[test]
    fn every_limit_holds_and_a_place_is_free_again_when_left() {
        let gate = gate();
        let open = |ip: &str, key: u8| enter(&gate, ip, true)?.open(ip.parse().unwrap(), PeerId([key; 32]));
        let first = open("192.0.2.1", 1).unwrap();
        let second = open("::ffff:192.0.2.1", 1).unwrap();
        assert!(open("192.0.2.1", 2).is_none(), "an address");
        assert!(open("192.0.2.2", 1).is_none(), "a key");
        let third = open("2001:db8::1", 2).unwrap();
        assert!(open("192.0.2.3", 3).is_none(), "in all");
        drop(first);
        let fourth = open("2001:db8::2", 3).unwrap();
        assert!(open("2001:db8::3", 4).is_none(), "a network of IPv6");
        drop((second, third, fourth));
        let counts = gate.counts();
        assert_eq!((counts.open, counts.half_open, counts.by_ip.len(), counts.by_key.len()), (0, 0, 0, 0));
    }
}
