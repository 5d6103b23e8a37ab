//! How many of a kind there are: those who have not logged in yet, those at the HTTP port.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// How many of a kind there are, in total and from each address: those who have not logged in yet, those at the HTTP port.
#[derive(Debug)]
pub struct Headcount {
    limits: (usize, usize),
    by_address: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// The place of one of them; given back when it is dropped.
#[derive(Debug)]
pub struct Admission {
    headcount: Arc<Headcount>,
    address: IpAddr,
}

impl Headcount {
    pub fn new(total: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { limits: (total, per_address), by_address: Mutex::default() })
    }

    /// None: there are too many, or too many from this address.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admission> {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *counts;
        let here = by_address.get(&address).copied().unwrap_or(0);
        if *total >= self.limits.0 || here >= self.limits.1 {
            return None;
        }
        *total += 1;
        by_address.insert(address, here + 1);
        drop(counts);
        Some(Admission { headcount: self.clone(), address })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.headcount.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *counts;
        *total -= 1;
        if let Some(here) = by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&self.address);
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
}
