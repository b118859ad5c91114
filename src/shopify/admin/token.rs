//! The client-credentials grant: an app's id and secret for an access token to a shop of the same organisation. There is no refresh
//! token; a caller that needs another asks again.

use super::failure::{ShopifyError, read_status};
use serde_json::Value;
use std::time::Duration;

/// Where tokens are asked for, below the shop's address.
pub const GRANT_PATH: &str = "/admin/oauth/access_token";

/// The code of a refusal to shops that the app is not installed in.
const NOT_INSTALLED: &str = "app_not_installed";

/// How long a token lasts whose answer does not say: shorter than any that Shopify gives.
const LIFE_UNSAID: Duration = Duration::from_secs(600);

/// No token is kept for longer, whatever its answer says: Shopify's last a day.
const LIFE_MAX: Duration = Duration::from_secs(7 * 86_400);

/// A granted token.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// Bears it; never printed.
    pub token: String,
    /// For how long it is good.
    pub life: Duration,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("life", &self.life).finish_non_exhaustive()
    }
}

/// The form that asks for a token.
pub fn grant_form<'a>(client_id: &'a str, client_secret: &'a str) -> [(&'static str, &'a str); 3] {
    [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", client_secret)]
}

/// What the answer to [`grant_form`] means. Whatever goes wrong here, no order was made.
///
/// # Errors
/// `Blocked` when the id, the secret or the organisation is wrong, `Throttled` when Shopify says so, `Uncertain` when asking again may help.
pub fn read_grant(status: u16, retry_after: Option<&str>, body: &[u8]) -> Result<Grant, ShopifyError> {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    // Only codes of OAuth are repeated: what else an answer says to a request with a secret in it stays unsaid.
    let code = document["error"].as_str().filter(|code| is_code(code)).unwrap_or("no reason given");
    match status {
        200 => {}
        400 | 401 | 403 => {
            let hint = match code {
                "shop_not_permitted" => "the app and the shop belong to different organisations",
                NOT_INSTALLED => "the app is not installed in the shop",
                _ => "are QUOTEGRID_SHOPIFY_CLIENT_ID and its secret right, and is the app installed?",
            };
            return Err(ShopifyError::Blocked(format!("Shopify refuses the app's credentials ({code}): {hint}")));
        }
        _ => read_status(status, retry_after)?,
    }
    let token = document["access_token"].as_str().filter(|token| is_token(token));
    let token = token.ok_or_else(|| ShopifyError::uncertain("Shopify granted an invalid token"))?;
    let life = document["expires_in"].as_u64().map_or(LIFE_UNSAID, Duration::from_secs).min(LIFE_MAX);
    Ok(Grant { token: token.to_owned(), life })
}

/// Whether an app is installed in a shop, as far as the answer to [`grant_form`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installation {
    /// It is: a token was granted.
    Installed,
    /// It is not, and Shopify says so in so many words.
    NotInstalled,
    /// The answer says neither, for this reason.
    Uncertain(String),
}

/// What the answer to [`grant_form`] reports whether the app is installed in the shop. Wrong credentials, another organisation, a shop
/// that is not found and a server that is down all leave it unclear.
pub fn read_installation(status: u16, retry_after: Option<&str>, body: &[u8]) -> Installation {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    if matches!(status, 400 | 401 | 403) && document["error"] == NOT_INSTALLED {
        return Installation::NotInstalled;
    }
    match read_grant(status, retry_after, body) {
        Ok(_granted) => Installation::Installed,
        Err(failure) => Installation::Uncertain(failure.to_string()),
    }
}

fn is_code(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// What can are in a header field.
fn is_token(text: &str) -> bool {
    (1..=1_000).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_with_its_life_and_shown_to_nobody() {
        let body = br#"{"access_token":"shpat_fake","scope":"write_draft_orders","expires_in":86399}"#;
        let grant = read_grant(200, None, body).expect("granted");
        assert_eq!((grant.token.as_str(), grant.life.as_secs()), ("shpat_fake", 86_399));
        assert!(!format!("{grant:?}").contains("shpat"));
        let life = |life: &str| {
            let body = format!(r#"{{"access_token":"shpat_fake","expires_in":{life}}}"#);
            read_grant(200, None, body.as_bytes()).expect("granted").life
        };
        assert_eq!((life("0"), life("18446744073709551615")), (Duration::ZERO, LIFE_MAX));
        for strange in ["-1", "1.5", "null", "\"60\"", "1e30"] {
            assert_eq!(life(strange), LIFE_UNSAID, "{strange}");
        }
    }

    #[test]
    fn only_a_token_says_installed_and_only_its_code_says_not_installed() {
        let granted = br#"{"access_token":"shpat_fake","expires_in":86399}"#;
        assert_eq!(read_installation(200, None, granted), Installation::Installed);
        for status in [400, 401, 403] {
            let answer = read_installation(status, None, br#"{"error":"app_not_installed"}"#);
            assert_eq!(answer, Installation::NotInstalled, "{status}");
        }
        for (status, body) in [
            (200, r#"{"error":"app_not_installed"}"#),
            (500, r#"{"error":"app_not_installed"}"#),
            (400, r#"{"error":"shop_not_permitted"}"#),
            (401, r#"{"error":"invalid_client"}"#),
            (403, "<html>app_not_installed"),
            (404, "{}"),
            (402, "{}"),
            (302, ""),
            (429, ""),
            (200, "{}"),
        ] {
            let answer = read_installation(status, None, body.as_bytes());
            assert!(matches!(answer, Installation::Uncertain(_)), "{status} {body} {answer:?}");
        }
    }

    #[test]
    fn refused_credentials_are_told_apart_from_a_server_that_is_down() {
        for (status, body, says) in [
            (400, r#"{"error":"shop_not_permitted"}"#, "different organisations"),
            (401, r#"{"error":"invalid_client"}"#, "invalid_client"),
            (403, "<html>", "no reason given"),
            (400, r#"{"error":"The secret Sesame is wrong"}"#, "no reason given"),
        ] {
            let Err(ShopifyError::Blocked(why)) = read_grant(status, None, body.as_bytes()) else { panic!("{status}") };
            assert!(why.contains(says) && !why.contains("Sesame"), "{why}");
        }
        for (status, body) in [(500, "{}"), (200, "{}"), (200, "garbage"), (200, r#"{"access_token":"a\nb"}"#)] {
            assert!(
                matches!(read_grant(status, None, body.as_bytes()), Err(ShopifyError::Uncertain { .. })),
                "{status} {body}"
            );
        }
        assert!(matches!(read_grant(429, Some("2.5"), b""), Err(ShopifyError::Throttled { .. })));
    }
}
