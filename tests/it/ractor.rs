//! ractor as a neighbour: its actors under our supervisors, our servers among its actors.

mod child;
mod hosted;
mod pool;
