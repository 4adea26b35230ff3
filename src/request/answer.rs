//! What a request is answered with, before preconditions and ranges are applied.

use std::sync::Arc;

use http::Response;

use crate::request::assemble::Share;
use crate::request::error::Refusal;
use crate::request::plan::Delivery;
use crate::store::Reader;
use crate::telemetry::Decision;
use crate::upstream::ResponseBody;

pub(crate) enum Answer {
    /// A stored response.
    Stored(Delivery),
    /// A response that is still coming, shared with others.
    Filling { share: Arc<Share>, reader: Reader, decision: Decision },
    /// An origin's response for this request alone.
    Passing { response: Box<Response<ResponseBody>>, decision: Decision },
    /// An answer of our own; `decision` tells whether the origin was asked.
    Failed { refusal: Refusal, decision: Decision },
    /// An answer of our own, without asking.
    Refused(Refusal),
}

impl Answer {
    /// How it came about, and whether an origin was asked for it.
    pub(crate) fn decision(&self) -> (Decision, bool) {
        match self {
            Self::Stored(delivery) => (delivery.decision, delivery.decision.forward.is_some()),
            Self::Filling { decision, .. }
            | Self::Passing { decision, .. }
            | Self::Failed { decision, .. } => (*decision, true),
            Self::Refused(refusal) => (Decision::local(refusal.reason), false),
        }
    }
}
