mod fetch;
mod synth;
fn main() {}
