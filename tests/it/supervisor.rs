//! Supervisors against OTP's `supervisor` and Elixir's `DynamicSupervisor`.

mod dynamic;
mod flood;
mod lab;
mod model;
mod requests;
mod restart;
mod shutdown;
mod start;
mod strategy;
mod suites;
mod tree;
