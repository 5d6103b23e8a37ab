//! When processes are killed: at random, from a seed that is printed and can be given again.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Random moments of a test.
pub struct Schedule {
    random: StdRng,
}

impl Schedule {
    /// From `HONGYAN_TEST_SEED`, or from a new seed.
    pub fn new(test: &str) -> Self {
        let seed = match std::env::var("HONGYAN_TEST_SEED") {
            Ok(seed) => seed.parse().expect("HONGYAN_TEST_SEED is a number"),
            Err(_) => rand::random_range(0..1_000_000),
        };
        eprintln!("{test}: HONGYAN_TEST_SEED={seed} replays these kills");
        Self { random: StdRng::seed_from_u64(seed) }
    }

    /// Where chance comes from, for what only one test draws.
    pub fn random(&mut self) -> &mut StdRng {
        &mut self.random
    }

    /// How many kills: `HONGYAN_TEST_KILLS`, or `short`.
    pub fn kills(short: usize) -> usize {
        std::env::var("HONGYAN_TEST_KILLS")
            .map_or(short, |kills| kills.parse().expect("HONGYAN_TEST_KILLS is a number"))
    }

    /// Whether more was asked for than runs in CI.
    pub fn is_long() -> bool {
        std::env::var_os("HONGYAN_TEST_KILLS").is_some()
    }

    /// `kills` places among 1 ..= `count`, rising.
    pub fn places(&mut self, kills: usize, count: u64) -> Vec<u64> {
        let mut places: Vec<u64> = (0..kills).map(|_| self.random.random_range(1..=count)).collect();
        places.sort_unstable();
        places
    }

    /// Lets a random time pass, so that what follows happens at a random moment.
    pub async fn pass(&mut self, longest: Duration) {
        tokio::time::sleep(longest.mul_f64(self.random.random())).await;
    }
}
