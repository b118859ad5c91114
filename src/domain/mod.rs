//! What a shop sells and what it costs, as plain values and pure functions. Knows nothing of SQL, time, logs or HTTP.

pub mod ids;
