//! The `quotegrid` binary.

fn main() {}
