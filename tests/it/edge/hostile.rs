//! What hostile clients cannot do.
