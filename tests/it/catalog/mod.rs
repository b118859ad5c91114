//! The catalog: what merchants keep, and that nobody reaches another's.

mod reading;
