//! The time of each piece of work: `cargo bench -p bench`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// How often a piece of work is done in one sample, so that what has to be there first weighs little.
const TIMES: u64 = 20;

#[divan::bench(args = bench::work::ALL.map(|work| work.name))]
fn work(bencher: divan::Bencher<'_, '_>, name: &str) {
    let work = bench::work::by_name(name).expect("invariant: the names are those of all work");
    bencher
        .counter(divan::counter::ItemsCount::new(work.times * TIMES))
        .bench_local(|| (work.run)(work.times * TIMES).expect("the work can be done"));
}
