//! Points at which a test may kill, hold or fail this process.
//!
//! They exist only where tests are compiled with debug assertions: `cargo test` gives the whole package the `failpoints` of its
//! dev-dependencies, the program alongside the tests included, and so would `cargo test --release` and `cargo bench` leave a program at
//! `target/release` that an environment variable can kill.

/// As `fail::fail_point!`, and nothing in a release build.
macro_rules! fail_point {
    ($name:expr) => {
        #[cfg(debug_assertions)]
        {
            fail::fail_point!($name);
        }
    };
    ($name:expr, $instead:expr) => {
        #[cfg(debug_assertions)]
        {
            fail::fail_point!($name, $instead);
        }
    };
}
