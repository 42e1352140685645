//! Suites that every implementor of a trait passes: one per trait.

pub mod engine;
