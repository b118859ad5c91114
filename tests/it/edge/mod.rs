//! The edge, by bytes on real sockets: what is refused and how, what honest clients get, and what hostile ones cannot do.

mod crowds;
pub(crate) mod harness;
mod hostile;
mod manners;
mod rejections;
mod requests;
mod responses;
mod stopping;
pub(crate) mod target;
