//! The signature of Shopify's app proxy: the hex HMAC-SHA256 of all other query parameters, each `name=value` with several values
//! of one name joined by commas, sorted, and joined by nothing.
//!
//! Joined by nothing, the text could be cut into other parameters than Shopify has signed: a shopper of one shop could have
//! `x=shop=other.myshopify.com…` signed there, and cut it so that it speaks for another shop. So `shop=` and `timestamp=` may
//! are in the signed text once only.

use super::webhook::Secrets;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// How far the time of a request may be from now: Shopify signs as it passes a request on, and clocks differ.
const TIMESTAMP_TOLERANCE: TimeDelta = TimeDelta::minutes(10);

/// Characters of a SHA-256 in hexadecimal digits.
const SIGNATURE_LENGTH: usize = 64;

/// The shop that these decoded query parameters are signed for, if they are all that Shopify says of them.
pub fn verified_shop<'a>(secrets: &Secrets, pairs: &'a [(String, String)], now: DateTime<Utc>) -> Option<&'a str> {
    let once = |name: &str| {
        let mut values = pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        values.next().filter(|value| !value.is_empty() && values.next().is_none())
    };
    let (signature, shop, timestamp) = (once("signature")?, once("shop")?, once("timestamp")?);
    let signed = signed_text(pairs);
    if !secrets.verify_digest(&digest_of(signature)?, signed.as_bytes()) {
        return None;
    }
    let is_plain = |name: &str| signed.match_indices(name).count() == 1;
    if !is_plain("shop=") || !is_plain("timestamp=") {
        return None;
    }
    let all_digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = timestamp.parse().ok().filter(|_seconds| all_digits)?;
    let at = DateTime::from_timestamp(seconds, 0)?;
    ((now - at).abs() <= TIMESTAMP_TOLERANCE).then_some(shop)
}

/// The hex HMAC-SHA256 with which Shopify would sign these parameters.
pub fn sign(secret: &str, pairs: &[(String, String)]) -> String {
    use hmac::Mac;
    let digest = super::webhook::keyed(secret).chain_update(signed_text(pairs)).finalize().into_bytes();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signed_text(pairs: &[(String, String)]) -> String {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in pairs.iter().filter(|(name, _)| name != "signature") {
        values.entry(name).or_default().push(value);
    }
    let mut parts: Vec<String> = values.iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect();
    parts.sort_unstable();
    parts.concat()
}

/// The bytes of 64 lower-case hexadecimal digits. Shopify writes no others, and one signature must have one spelling.
fn digest_of(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != SIGNATURE_LENGTH {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    /// Shopify's own example, as `go-shopify` has it.
    const EXAMPLE: [(&str, &str); 5] = [
        ("extra", "1"),
        ("extra", "2"),
        ("path_prefix", "/apps/awesome_reviews"),
        ("shop", "shop-name.myshopify.com"),
        ("timestamp", "1317327555"),
    ];
    const SIGNATURE: &str = "a9718877bea71c2484f91608a7eaea1532bdf71f5c56825065fa4ccabe549ef3";

    #[test]
    fn the_example_of_shopify_is_accepted_in_any_order_with_any_secret_of_the_rotation_and_for_ten_minutes() {
        assert_eq!(sign("hush", &pairs(&EXAMPLE)), SIGNATURE);
        let mut list = EXAMPLE.to_vec();
        list.push(("signature", SIGNATURE));
        let check = |list: &[(&str, &str)], secrets: &[&str], seconds| {
            let list = pairs(list);
            verified_shop(&Secrets::new(secrets.iter().copied()), &list, at(seconds)).map(str::to_owned)
        };
        let shop = Some("shop-name.myshopify.com".to_owned());
        assert_eq!(check(&list, &["hush"], 1_317_327_555), shop);
        assert_eq!(check(&list, &["newer", "hush"], 1_317_327_555 + 600), shop);
        assert_eq!(check(&list, &["hush"], 1_317_327_555 - 600), shop);
        list.swap(2, 5);
        assert_eq!(check(&list, &["hush"], 1_317_327_555), shop);
        for (secrets, seconds) in
            [(&["other"][..], 1_317_327_555), (&[""][..], 1_317_327_555), (&[][..], 1_317_327_555)]
        {
            assert_eq!(check(&list, secrets, seconds), None, "{secrets:?}");
        }
        for seconds in [1_317_327_555 - 601, 1_317_327_555 + 601, 0] {
            assert_eq!(check(&list, &["hush"], seconds), None, "{seconds}");
        }
        // The order of several values is what was signed.
        let turned: Vec<(&str, &str)> =
            [("extra", "2"), ("extra", "1")].into_iter().chain(list[2..].to_vec()).collect();
        assert_eq!(check(&turned, &["hush"], 1_317_327_555), None);
    }

    #[test]
    fn whatever_is_spelt_otherwise_is_refused_though_its_digest_is_right() {
        let secrets = Secrets::new(["hush"]);
        let verify = |list: &[(&str, &str)], signature: &str| {
            let mut list = pairs(list);
            list.push(("signature".to_owned(), signature.to_owned()));
            verified_shop(&secrets, &list, at(1_317_327_555)).is_some()
        };
        let signed = |list: &[(&str, &str)]| verify(list, &sign("hush", &pairs(list)));
        assert!(verify(&EXAMPLE, SIGNATURE));
        let upper = SIGNATURE.to_uppercase();
        let cut = &SIGNATURE[..63];
        let longer = format!("{SIGNATURE}0");
        for wrong in ["", cut, &longer, &upper, &format!(" {cut}"), &format!("{cut}\u{e9}"), &"0".repeat(64)] {
            assert!(!verify(&EXAMPLE, wrong), "{wrong}");
        }
        let (shop, time) = (("shop", "a.myshopify.com"), ("timestamp", "1317327555"));
        assert!(signed(&[shop, time]));
        for list in [
            &[shop, shop, time][..],
            &[shop, time, time],
            &[shop, ("shop", ""), time],
            &[("shop", ""), time],
            &[time],
            &[shop],
            &[shop, ("timestamp", "")],
            &[shop, ("timestamp", "+1317327555")],
            &[shop, ("timestamp", "1317327555.0")],
            &[shop, ("timestamp", "99999999999999999999")],
            &[("Shop", "a.myshopify.com"), time],
        ] {
            assert!(!signed(list), "{list:?}");
        }
        let repeated = [shop, time, ("signature", SIGNATURE)];
        assert!(!verify(&repeated, &sign("hush", &pairs(&repeated))));
    }

    #[test]
    fn a_signed_text_cannot_be_cut_into_another_shop() {
        // What a shopper of a.myshopify.com can have signed there.
        let honest = pairs(&[
            ("path_prefix", "/apps/q"),
            ("sa", "shop=victim.myshopify.comsz"),
            ("shop", "a.myshopify.com"),
            ("timestamp", "1317327555"),
        ]);
        let signature = sign("hush", &honest);
        let mut forged = pairs(&[
            ("path_prefix", "/apps/qsa="),
            ("shop", "victim.myshopify.com"),
            ("szshop", "a.myshopify.com"),
            ("timestamp", "1317327555"),
        ]);
        assert_eq!(sign("hush", &forged), signature, "the digest alone does not show it");
        forged.push(("signature".to_owned(), signature));
        assert_eq!(verified_shop(&Secrets::new(["hush"]), &forged, at(1_317_327_555)), None);
    }
}
