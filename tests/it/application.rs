//! Applications: the order and the deadlines of their end, and real programs that are sent real signals.

mod order;
mod signals;
