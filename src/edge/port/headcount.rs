//! How many of a kind there are: those who have not logged in yet, those at the HTTP port.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::base::address::AddressGroup;

/// How many of a kind there are, in total and from each address: those who have not logged in yet, those at the HTTP port.
#[derive(Debug)]
pub struct Headcount {
    limits: (usize, usize),
    by_address: Mutex<(usize, HashMap<AddressGroup, usize>)>,
}

/// The place of one of them; given back when it is dropped.
#[derive(Debug)]
pub struct Admission {
    headcount: Arc<Headcount>,
    /// None: it counts in total only.
    group: Option<AddressGroup>,
}

impl Headcount {
    pub fn new(total: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { limits: (total, per_address), by_address: Mutex::default() })
    }

    /// None: there are too many, or too many from this address.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admission> {
        self.take(Some(AddressGroup::of(address)))
    }

    /// For a proxy, which is no person: many come from its address. None: there are too many in total.
    pub fn admit_proxy(self: &Arc<Self>) -> Option<Admission> {
        self.take(None)
    }

    fn take(self: &Arc<Self>, group: Option<AddressGroup>) -> Option<Admission> {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *counts;
        if *total >= self.limits.0 {
            return None;
        }
        if let Some(group) = group {
            let here = by_address.get(&group).copied().unwrap_or(0);
            if here >= self.limits.1 {
                return None;
            }
            by_address.insert(group, here + 1);
        }
        *total += 1;
        drop(counts);
        Some(Admission { headcount: self.clone(), group })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.headcount.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *counts;
        *total -= 1;
        let Some(group) = self.group else { return };
        if let Some(here) = by_address.get_mut(&group) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_counted_in_total_and_by_address() {
        let strangers = Headcount::new(3, 2);
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = strangers.admit(here);
        let second = strangers.admit(here);
        assert!(first.is_some() && second.is_some());
        assert!(strangers.admit(here).is_none(), "two from one address");
        let third = strangers.admit(there);
        assert!(third.is_some());
        drop(second);
        let fourth = strangers.admit(here);
        assert!(fourth.is_some());
        assert!(strangers.admit(there).is_none(), "three in total");
        drop((first, third, fourth));
        assert!(strangers.by_address.lock().unwrap().1.is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn a_proxy_counts_in_total_and_a_network_of_ipv6_as_one() {
        let strangers = Headcount::new(3, 1);
        let proxies = (strangers.admit_proxy(), strangers.admit_proxy());
        assert!(proxies.0.is_some() && proxies.1.is_some());
        let one = strangers.admit("2001:db8::1".parse().unwrap());
        assert!(one.is_some());
        assert!(strangers.admit_proxy().is_none(), "three in total");
        drop(proxies);
        assert!(strangers.admit("2001:db8::2".parse().unwrap()).is_none(), "the same /64");
        assert!(strangers.admit("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}
