//! Looking into a running system without disturbing it.
//!
//! Inspection reads the process table; it sends nothing to the processes it looks at, so it works on stuck ones too.

mod text;
mod tree;

pub use text::SIBLINGS_SHOWN_MAX;
pub use tree::{Node, Tree};

use crate::process;

/// The living processes of this node as a tree: every process stands below the one that spawned it.
///
/// Its `Display` is the text form.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::prelude::*;
///
/// let shop = Supervisor::one_for_one()
///     .label("shop")
///     .child(ChildSpec::process("clock", |mut ctx: Context<()>| async move { ctx.receive().await; }))
///     .start()
///     .await?;
/// let text = heronry::inspect::tree().to_string();
/// assert!(text.contains("shop"));
/// assert!(text.contains("└─ clock"));
/// # shop.stop().await;
/// # Ok(()) }
/// ```
pub fn tree() -> Tree {
    Tree::of(process::snapshot(), crate::clock::now())
}
