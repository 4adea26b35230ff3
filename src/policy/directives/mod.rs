//! `Cache-Control`, in requests and in responses (RFC 9111 §5.2, RFC 5861, RFC 8246), and `CDN-Cache-Control`
//! (RFC 9213).
//!
//! A value that breaks the grammar is read to the conservative side: restrictions hold in full, lifetimes are zero,
//! permissions are not given. Each line stands alone, so that a quote left open in one hides nothing in the others.

mod argument;
mod request;
mod response;
mod targeted;

pub(super) use argument::Seconds;
pub use request::RequestDirectives;
pub use response::ResponseDirectives;
pub(super) use targeted::CDN_CACHE_CONTROL;
