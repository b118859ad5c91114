//! The ways in which the fake fails.

/// How a call ends. Each is combined with whether the work was done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Answer,
    /// With this status and an empty object.
    Status(u16),
    /// 400 with this code, as OAuth refuses a token.
    Refused(&'static str),
    /// 429 with a Retry-After of so many seconds.
    RetryAfter(u16, u64),
    /// 200 with an error of this code and no data.
    Code(&'static str),
    /// 200 with an error of this code about something within the answer, and no data: what could not be null was.
    CodeWithin(&'static str),
    /// 200 with a cost throttle.
    Throttled,
    /// 429 with a text where errors stand, and no Retry-After: as Shopify's edge does it.
    Busy,
    /// The connection is closed without a byte.
    Close,
    /// 200 and something that is no JSON.
    Garbage,
    /// A promised length, half of it, and the end.
    HalfAnswer,
    /// An answer that is larger than anybody wants.
    Endless,
    /// Nothing until the caller gives up or the fake lets go.
    Hang,
    /// Fields of a head without end, a byte at a time, until the caller gives up or the fake lets go.
    DripHead,
    /// The same with the bytes of a body.
    DripBody,
    /// As it should, in chunks of a byte, after some interim answers.
    Chunks,
    /// JSON that is nested more deeply than anybody reads.
    Deep,
    /// The head of the next answer where the body should go on.
    Shortened,
    /// A redirect to another host.
    Redirect,
    /// 200 with user errors.
    UserErrors,
    /// 200 with a user error that is about no field.
    Passing,
    /// 422 with a text that says that there were too many requests.
    TooMany,
    /// An answer with neither a draft nor an error.
    Nothing,
    /// The draft of another order, as a cache on the way would answer.
    Anothers,
}

/// What is to happen to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Whether the draft is made all the same.
    pub(crate) works: bool,
    pub(crate) manner: Manner,
}

impl Fault {
    pub(crate) fn before(manner: Manner) -> Self {
        Self { works: false, manner }
    }

    pub(crate) fn after(manner: Manner) -> Self {
        Self { works: true, manner }
    }
}
