//! What answers mean, layer by layer.

use super::*;
use crate::shopify::admin::failure::{DEFAULT_PAUSE, PAUSE, WORDS_MAX, plain_words};
use serde_json::json;
use std::time::Duration;

fn created(status: u16, body: &Value) -> Result<DraftOrder, ShopifyError> {
    read_created("a", status, None, body.to_string().as_bytes())
}

fn node(number: u64, tags: &[&str]) -> Value {
    json!({
        "id": format!("gid://shopify/DraftOrder/{number}"),
        "name": format!("#D{number}"),
        "invoiceUrl": format!("https://fake.myshopify.com/invoices/{number}"),
        "tags": tags,
        "totalPriceSet": { "presentmentMoney": { "amount": "25.0", "currencyCode": "EUR" } },
    })
}

#[test]
fn a_draft_with_an_id_was_made_whatever_else_is_said() {
    let payload = json!({ "draftOrder": node(7, &["x", "pm-a"]), "userErrors": [] });
    let draft = created(200, &json!({ "data": { "draftOrderCreate": payload } })).expect("made");
    assert_eq!((draft.id.as_str(), draft.name.as_str()), ("gid://shopify/DraftOrder/7", "#D7"));
    assert_eq!(draft.total, Some(("25.0".to_owned(), "EUR".to_owned())));
    let with_errors = json!({ "data": { "draftOrderCreate": payload }, "errors": [{ "message": "x" }] });
    assert_eq!(created(200, &with_errors), Ok(draft));
}

#[test]
fn a_draft_of_another_order_says_nothing_of_this_one() {
    for tags in [&[][..], &["pm-ab"], &["price-matrix", "PM-A"]] {
        let payload = json!({ "draftOrder": node(7, tags), "userErrors": [] });
        let answer = created(200, &json!({ "data": { "draftOrderCreate": payload } }));
        assert!(matches!(answer, Err(ShopifyError::Uncertain { .. })), "{tags:?}: {answer:?}");
    }
    let mut silent = node(7, &[]);
    silent.as_object_mut().expect("an object").remove("tags");
    let payload = json!({ "draftOrder": silent, "userErrors": [] });
    let answer = created(200, &json!({ "data": { "draftOrderCreate": payload } }));
    assert_eq!(answer.map(|draft| draft.name), Ok("#D7".to_owned()));
}

#[test]
fn an_address_that_is_none_of_the_web_is_no_checkout() {
    for url in ["javascript:alert(1)", "http://plain.example", "https://", "https:///x", "https://a b", ""] {
        let mut draft = node(7, &["pm-a"]);
        draft["invoiceUrl"] = json!(url);
        let answer = json!({ "data": { "draftOrderCreate": { "draftOrder": draft, "userErrors": [] } } });
        assert_eq!(created(200, &answer).expect("made").checkout_url, None, "{url}");
    }
}

#[test]
fn a_draft_that_is_not_ready_has_no_checkout_yet() {
    let made = |change: Value| {
        let mut draft = node(7, &["pm-a"]);
        draft.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        created(200, &json!({ "data": { "draftOrderCreate": { "draftOrder": draft, "userErrors": [] } } }))
            .expect("made")
    };
    for change in [json!({ "invoiceUrl": null }), json!({ "ready": false }), json!({ "invoiceUrl": "" })] {
        assert_eq!(made(change.clone()).checkout_url, None, "{change}");
    }
    assert!(made(json!({ "ready": true })).checkout_url.is_some());
}

#[test]
fn only_tax_that_is_added_to_the_prices_explains_a_higher_total() {
    let tax = |included: Value| {
        let mut draft = node(7, &["pm-a"]);
        draft["totalTaxSet"] = json!({ "presentmentMoney": { "amount": "4.75", "currencyCode": "EUR" } });
        draft["taxesIncluded"] = included;
        let payload = json!({ "draftOrder": draft, "userErrors": [] });
        created(200, &json!({ "data": { "draftOrderCreate": payload } })).expect("made").added_tax
    };
    assert_eq!(tax(json!(false)), Some(("4.75".to_owned(), "EUR".to_owned())));
    assert_eq!((tax(json!(true)), tax(Value::Null)), (None, None));
}

#[test]
fn a_refusal_that_says_nothing_of_the_order_is_passing() {
    let refused = |errors: Value| {
        created(200, &json!({ "data": { "draftOrderCreate": { "draftOrder": null, "userErrors": errors } } }))
    };
    for field in [Value::Null, json!([])] {
        let errors = json!([{ "field": field, "message": "Too many attempts. Please try again later." }]);
        assert!(matches!(refused(errors), Err(ShopifyError::Passing(why)) if why.contains("Too many attempts")));
    }
    assert!(matches!(refused(json!([{ "message": "Busy" }])), Err(ShopifyError::Passing(_))));
    let both = json!([{ "field": null, "message": "a" }, { "field": ["input"], "message": "b" }]);
    assert!(
        matches!(refused(both), Err(ShopifyError::Refused(_))),
        "what names a field is wrong, whatever else is said"
    );
}

#[test]
fn the_code_for_too_many_requests_is_a_pause_in_whichever_layer_it_stands() {
    for code in ["THROTTLED", "TOO_MANY_REQUESTS"] {
        let error = json!([{ "message": "m", "extensions": { "code": code } }]);
        for status in [200, 400, 422, 429] {
            let answer = created(status, &json!({ "data": null, "errors": error }));
            assert!(matches!(answer, Err(ShopifyError::Throttled { .. })), "{status} {code}: {answer:?}");
        }
        let errors = json!([{ "field": ["input"], "message": "m", "code": code }]);
        let answer = json!({ "data": { "draftOrderCreate": { "draftOrder": null, "userErrors": errors } } });
        assert!(matches!(created(200, &answer), Err(ShopifyError::Throttled { .. })), "{code}");
    }
    let text = json!({ "errors": "Too many requests" });
    assert!(matches!(created(422, &text), Err(ShopifyError::Passing(_))));
    let rested = read_created("a", 422, Some("7"), text.to_string().as_bytes());
    assert_eq!(rested, Err(ShopifyError::Throttled { after: Duration::from_secs(7) }));
}

#[test]
fn a_draft_that_is_looked_at_is_the_one_asked_for_or_gone() {
    let id = "gid://shopify/DraftOrder/7";
    let seen = |body: &Value| read_seen(id, 200, None, body.to_string().as_bytes());
    let draft = seen(&json!({ "data": { "draftOrder": node(7, &[]) } })).expect("an answer").expect("a draft");
    assert_eq!(draft.id, id);
    assert_eq!(seen(&json!({ "data": { "draftOrder": null } })), Ok(None));
    for other in [json!({ "data": { "draftOrder": node(8, &[]) } }), json!({ "data": {} }), json!({ "data": null })] {
        assert!(matches!(seen(&other), Err(ShopifyError::Uncertain { .. })), "{other}");
    }
}

#[test]
fn user_errors_refuse_the_order_for_good_and_are_kept_without_names() {
    let errors = json!([{ "field": ["input", "lineItems"], "message": "Title of ann@example.com is at a.myshopify.com 0171234567" }]);
    let answer = json!({ "data": { "draftOrderCreate": { "draftOrder": null, "userErrors": errors } } });
    let message = "Shopify refuses the order: input.lineItems: Title of … is at … …";
    assert_eq!(created(200, &answer), Err(ShopifyError::Refused(message.to_owned())));
}

#[test]
fn a_throttle_says_how_long_to_wait_in_each_of_its_forms() {
    let body = json!({
        "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }],
        "extensions": { "cost": { "requestedQueryCost": 110, "actualQueryCost": null,
            "throttleStatus": { "maximumAvailable": 2000, "currentlyAvailable": 10, "restoreRate": 20 } } },
    });
    for status in [200, 429] {
        assert_eq!(created(status, &body), Err(ShopifyError::Throttled { after: Duration::from_secs(5) }), "{status}");
    }
    let wait = |retry_after: Option<&str>| match read_created("a", 429, retry_after, b"") {
        Err(ShopifyError::Throttled { after }) => after,
        other => panic!("{other:?}"),
    };
    assert_eq!(wait(Some("2.5")), Duration::from_millis(2_500));
    assert_eq!(wait(Some("0")), PAUSE.0);
    assert_eq!(wait(Some("99999999")), PAUSE.1);
    for strange in [None, Some("soon"), Some("Wed, 21 Oct 2026 07:28:00 GMT")] {
        assert_eq!(wait(strange), DEFAULT_PAUSE, "{strange:?}");
    }
    for strange in ["NaN", "-1", "-inf"] {
        assert_eq!(wait(Some(strange)), PAUSE.0, "{strange}");
    }
    for strange in ["inf", "1e300"] {
        assert_eq!(wait(Some(strange)), PAUSE.1, "{strange}");
    }
}

#[test]
fn a_status_of_too_many_requests_is_a_throttle_whatever_else_is_said() {
    for body in
        [r#"{"errors":"Exceeded 2 calls per second for api client."}"#, "<html>", "", r#"{"errors":[{"message":"m"}]}"#]
    {
        let answer = read_created("a", 429, None, body.as_bytes());
        assert_eq!(answer, Err(ShopifyError::Throttled { after: DEFAULT_PAUSE }), "{body}");
        let answer = read_found("a", 429, Some("9"), body.as_bytes());
        assert_eq!(answer, Err(ShopifyError::Throttled { after: Duration::from_secs(9) }), "{body}");
    }
}

#[test]
fn what_failed_within_the_answer_may_have_been_made() {
    let error = |path: Value, code: &str| {
        let errors = json!([{ "message": "no", "path": path, "extensions": { "code": code } }]);
        created(200, &json!({ "data": { "draftOrderCreate": null }, "errors": errors }))
    };
    for code in ["ACCESS_DENIED", "THROTTLED", "MAX_COST_EXCEEDED"] {
        let within = error(json!(["draftOrderCreate", "draftOrder", "tags"]), code);
        assert!(matches!(within, Err(ShopifyError::Uncertain { .. })), "{code}: {within:?}");
    }
    // What failed as a whole did nothing.
    assert!(matches!(error(json!(["draftOrderCreate"]), "ACCESS_DENIED"), Err(ShopifyError::Blocked(_))));
    assert!(matches!(error(json!(["draftOrderCreate"]), "THROTTLED"), Err(ShopifyError::Throttled { .. })));
    assert!(matches!(error(Value::Null, "MAX_COST_EXCEEDED"), Err(ShopifyError::Refused(_))));
    // And what is there in part is not a whole.
    for code in ["ACCESS_DENIED", "MAX_COST_EXCEEDED"] {
        let errors = json!([{ "message": "no", "extensions": { "code": code } }]);
        let payload = json!({ "draftOrder": null, "userErrors": [] });
        let half = created(200, &json!({ "data": { "draftOrderCreate": payload }, "errors": errors }));
        assert!(matches!(half, Err(ShopifyError::Uncertain { .. })), "{code}: {half:?}");
    }
}

#[test]
fn words_that_are_kept_do_nothing_to_a_terminal_and_have_an_end() {
    assert_eq!(plain_words("a \u{1b}[2Jb\u{7}\r\nc \u{9b}d"), "a … c …");
    assert_eq!(plain_words(&"x ".repeat(1_000)).chars().count(), WORDS_MAX);
}

#[test]
fn what_nobody_can_know_is_unclear() {
    let uncertain = |status: u16, body: &str| {
        matches!(read_created("a", status, None, body.as_bytes()), Err(ShopifyError::Uncertain { .. }))
    };
    for (status, body) in [
        (200, "<html>"),
        (200, ""),
        (200, "{}"),
        (200, "null"),
        (200, "[]"),
        (200, r#"{"data":null}"#),
        (200, r#"{"data":{"draftOrderCreate":null}}"#),
        (200, r#"{"data":{"draftOrderCreate":{"draftOrder":{"id":"7"},"userErrors":[]}}}"#),
        (200, r#"{"errors":[{"message":"Internal error","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}"#),
        (200, r#"{"errors":"Something"}"#),
        (500, "{}"),
        (502, ""),
        (503, ""),
        (504, ""),
        (408, ""),
        (201, "{}"),
    ] {
        assert!(uncertain(status, body), "{status} {body}");
    }
    let rested = read_created("a", 503, Some("7"), b"");
    assert!(
        matches!(rested, Err(ShopifyError::Uncertain { after: Some(after), .. }) if after.as_secs() == 7),
        "{rested:?}"
    );
}

#[test]
fn what_somebody_must_mend_is_told_apart_from_what_is_wrong_with_the_order() {
    for status in [301, 302, 307, 402, 403, 404, 423] {
        assert!(matches!(created(status, &json!({})), Err(ShopifyError::Blocked(_))), "{status}");
    }
    assert_eq!(created(401, &json!({})), Err(ShopifyError::TokenRefused));
    assert!(matches!(created(400, &json!({})), Err(ShopifyError::Refused(_))));
    let error = |code: &str| json!({ "data": null, "errors": [{ "message": "m", "extensions": { "code": code } }] });
    assert!(matches!(created(200, &error("ACCESS_DENIED")), Err(ShopifyError::Blocked(_))));
    assert!(matches!(created(200, &error("MAX_COST_EXCEEDED")), Err(ShopifyError::Refused(_))));
    assert!(matches!(created(200, &error("undefinedField")), Err(ShopifyError::Refused(_))));
}

#[test]
fn only_the_very_tag_is_found_and_each_draft_once_oldest_first() {
    let answer = json!({ "data": {
        "tagged": { "nodes": [node(10, &["pm-a"]), node(12, &["pm-ab"])] },
        "newest": { "nodes": [node(10, &["x", "pm-a"]), node(9, &["pm-a"]), node(8, &[])] },
    } });
    let found = read_found("a", 200, None, answer.to_string().as_bytes()).expect("found");
    assert_eq!(found.iter().map(|draft| draft.name.as_str()).collect::<Vec<_>>(), ["#D9", "#D10"]);
    let none = json!({ "data": { "tagged": { "nodes": [] }, "newest": { "nodes": [] } } });
    assert_eq!(read_found("a", 200, None, none.to_string().as_bytes()), Ok(Vec::new()));
    let half = json!({ "data": { "tagged": { "nodes": [] } } });
    assert!(read_found("a", 200, None, half.to_string().as_bytes()).is_err());
}
