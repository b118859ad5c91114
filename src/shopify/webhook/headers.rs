//! The header fields of a delivery, of either family of names, each at most once.

use super::Refusal;

/// A header field that must not come twice: which of the two a proxy and we believe could differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Field<'a> {
    #[default]
    Absent,
    One(&'a str),
    Twice,
}

use Field::One;

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a str) {
        *self = if *self == Self::Absent { One(value) } else { Self::Twice };
    }

    /// This field, or `other` where this one is missing or says nothing.
    fn or(self, other: Self) -> Self {
        match self {
            Self::Absent => other,
            One(value) if value.trim().is_empty() && other != Self::Absent => other,
            found => found,
        }
    }

    pub(super) fn once(self, twice: &'static str) -> Result<Option<&'a str>, Refusal> {
        match self {
            Self::Absent => Ok(None),
            One(value) => Ok(Some(value)),
            Self::Twice => Err(Refusal::Malformed(twice)),
        }
    }
}

/// The fields of one family of header names.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Family<'a> {
    pub(super) hmac: Field<'a>,
    pub(super) topic: Field<'a>,
    pub(super) shop: Field<'a>,
    pub(super) webhook_id: Field<'a>,
    pub(super) event_id: Field<'a>,
    pub(super) triggered_at: Field<'a>,
}

impl<'a> Family<'a> {
    fn add(&mut self, name: &str, value: &'a str) {
        const NAMES: [&str; 6] = ["hmac-sha256", "topic", "shop-domain", "webhook-id", "event-id", "triggered-at"];
        let field = match NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) {
            Some(0) => &mut self.hmac,
            Some(1) => &mut self.topic,
            Some(2) => &mut self.shop,
            Some(3) => &mut self.webhook_id,
            Some(4) => &mut self.event_id,
            Some(5) => &mut self.triggered_at,
            _ => return,
        };
        field.add(value);
    }

    fn completed_by(&self, other: &Self) -> Self {
        Self {
            hmac: self.hmac,
            topic: self.topic.or(other.topic),
            shop: self.shop.or(other.shop),
            webhook_id: self.webhook_id.or(other.webhook_id),
            event_id: self.event_id.or(other.event_id),
            triggered_at: self.triggered_at.or(other.triggered_at),
        }
    }
}

/// Both families: `X-Shopify-…` of today's webhooks and `Shopify-…` of the events that will follow them.
#[derive(Debug, Default)]
pub(super) struct Headers<'a> {
    classic: Family<'a>,
    events: Family<'a>,
}

impl<'a> Headers<'a> {
    pub(super) fn read(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in fields {
            if let Some(name) = without_prefix(name, "x-shopify-") {
                headers.classic.add(name, value);
            } else if let Some(name) = without_prefix(name, "shopify-") {
                headers.events.add(name, value);
            }
        }
        headers
    }

    /// The fields of the family that has the signature; of the other family only what the first one lacks, for a proxy may rename
    /// some. With two signatures that agree the classic family comes first.
    ///
    /// No field but the signature is signed, so it makes no difference to an attacker which family a field is of.
    pub(super) fn signed_family(&self) -> Result<Family<'a>, Refusal> {
        match (self.classic.hmac, self.events.hmac) {
            (One(classic), One(events)) if classic != events => Err(Refusal::Unsigned),
            (Field::Twice, _) | (_, Field::Twice) => Err(Refusal::Unsigned),
            (Field::Absent, _) => Ok(self.events.completed_by(&self.classic)),
            (One(_), _) => Ok(self.classic.completed_by(&self.events)),
        }
    }
}

fn without_prefix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
