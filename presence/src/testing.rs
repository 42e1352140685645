//! Replicas on a simulated network: messages are lost, doubled and late, links are cut, nodes die and come back, all by
//! one seed. What every observer sees is checked as it happens, and that all see the same once the network is whole.
//!
//! `HERONRY_SEEDS=10000 cargo test --release -p heronry-presence simulation` runs that many; `HERONRY_SEED=17` runs one.

mod merge;
mod net;
mod observer;
mod world;

use world::World;

/// How many seeds a plain `cargo test` runs.
const SEEDS_DEFAULT: u64 = 150;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn simulation_of_five_nodes_ends_in_one_truth() {
    let seeds = match number("HERONRY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HERONRY_SEEDS").unwrap_or(SEEDS_DEFAULT),
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| World::new(seed).run());
        assert!(outcome.is_ok(), "seed {seed} failed: HERONRY_SEED={seed} runs it alone");
    }
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    assert_eq!(World::new(7).run(), World::new(7).run());
    assert_ne!(World::new(7).run(), World::new(8).run());
}
