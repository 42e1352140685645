//! Supervisors against OTP's `supervisor` and Elixir's `DynamicSupervisor`.

mod backoff;
mod dynamic;
mod flood;
mod ignored;
mod lab;
mod partition;
mod requests;
mod restart;
mod shutdown;
mod significant;
mod stable;
mod start;
mod strategy;
mod suites;
mod tree;
