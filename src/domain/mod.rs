//! What a shop sells and what it costs, as plain values and pure functions. Knows nothing of SQL, time, logs or HTTP.
//!
//! [`quote::quote`] is where they meet: a [`matrix`] gives the base price of a size, [`options`] say what may be added to it,
//! and [`money`] holds the one rounding rule. There is no floating point anywhere in here.

pub mod adjustment;
mod decimal;
pub mod ids;
pub mod length;
pub mod matrix;
pub mod matrix_csv;
pub mod measure;
pub mod money;
pub mod name;
pub mod options;
pub(crate) mod percent;
pub mod quote;
pub mod sizes;
pub mod tax_label;
pub(crate) mod text_enum;
pub mod weight;

pub use decimal::{DecimalFault, whole_number};
