//! What to enter at Shopify: the blocks of `shopify.app.toml` and of the theme, and the same as steps in the Dev Dashboard. Compliance topics can be
//! subscribed only there: the Admin API's list of topics does not have them.

use super::webhook::{Subscription, Topic};

/// The version of Shopify's API whose shapes are read and played here.
pub const API_VERSION: &str = "2026-10";

/// The block of `shopify.app.toml` that sends all known topics to `url`.
pub fn toml_block(url: &str) -> String {
    let quoted = |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    // One subscription for the compliance topics: the Shopify CLI refuses a topic that is there twice.
    let compliance: Vec<&Topic> =
        Topic::KNOWN.iter().filter(|topic| topic.subscription() == Some(Subscription::Compliance)).collect();
    let compliance = quoted(&compliance.iter().map(|topic| topic.as_str()).collect::<Vec<_>>());
    let mut block = format!(
        "[webhooks]\napi_version = \"{API_VERSION}\"\n\n  [[webhooks.subscriptions]]\n  compliance_topics = [{compliance}]\n  uri = \"{url}\"\n"
    );
    for topic in Topic::KNOWN.iter().chain(&Topic::DRAFT_ORDERS) {
        if let Some(Subscription::Fields(fields)) = topic.subscription() {
            block += &format!(
                "\n  [[webhooks.subscriptions]]\n  topics = [\"{topic}\"]\n  uri = \"{url}\"\n  include_fields = [{}]\n",
                quoted(fields)
            );
        }
    }
    block
}

/// The path of a shop below which its pages reach this server, through Shopify's app proxy.
const PROXIED_PATH: &str = "/apps/quotes";

/// The block of `shopify.app.toml` that has Shopify pass on what a shop's pages ask below `/apps/quotes` to the server at `address`.
pub fn app_proxy_block(address: &str) -> String {
    format!(
        r#"[app_proxy]
url = "{address}/proxy"
prefix = "apps"
subpath = "quotes"
"#
    )
}

/// The block of a theme's product page that shows the element: Liquid, for a custom block or section.
pub fn liquid_block(address: &str) -> String {
    format!(
        r#"<script type="module" src="{address}/widget/v1.js"></script>
<quote-grid product="{{{{ product.id }}}}" proxy="{PROXIED_PATH}" lang="{{{{ request.locale.iso_code }}}}"></quote-grid>
"#
    )
}

/// The steps that a person takes, in order.
pub fn steps(url: &str) -> Vec<String> {
    vec![
        "Put the block into your app's shopify.app.toml, in place of its [webhooks] section, and remove a [webhooks.privacy_compliance] section: both together are refused.".to_owned(),
        "Run `shopify app deploy` in the app's directory and release the version.".to_owned(),
        format!(
            "Or, without the Shopify CLI: in the Dev Dashboard open the app, create a version, enter {url} for the three compliance webhooks, for app/uninstalled, draft_orders/update and draft_orders/delete, and release it."
        ),
        "Copy the app's client secret from its settings to QUOTEGRID_SHOPIFY_API_SECRET_FILE. Webhooks made by hand in a store's admin under Settings > Notifications are signed with another key and are refused.".to_owned(),
        format!("Check from outside that {url} answers 401 to an unsigned request: curl -si -X POST {url}"),
        "For prices on the shop's pages: put the second block into shopify.app.toml too, add write_app_proxy to the scopes there, and deploy once more. Or enter the same in the Dev Dashboard under App proxy.".to_owned(),
        "In the theme editor open the product template, add a block Custom Liquid, and paste the third block. Products without prices say so there.".to_owned(),
        "Do not subscribe app/uninstalled through the Admin API as well: it would be delivered twice.".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_topic_is_subscribed_once_at_the_address() {
        let block = toml_block("https://quotes.example.com/webhooks");
        for topic in Topic::KNOWN.into_iter().chain(Topic::DRAFT_ORDERS) {
            assert_eq!(block.matches(&format!("\"{topic}\"")).count(), 1, "{topic}");
        }
        // The compliance topics share one.
        let compliance =
            Topic::KNOWN.iter().filter(|topic| topic.subscription() == Some(Subscription::Compliance)).count();
        let subscriptions = Topic::KNOWN.len() + Topic::DRAFT_ORDERS.len() - compliance + 1;
        assert_eq!(block.matches("uri = \"https://quotes.example.com/webhooks\"").count(), subscriptions);
        assert!(!block.contains("customer\"") && !block.contains("email"), "nothing of a person is asked for: {block}");
    }

    #[test]
    fn the_theme_asks_where_the_app_proxy_listens() {
        let proxy = app_proxy_block("https://quotes.example.com");
        let path = |name: &str| {
            let line = proxy.lines().find_map(|line| line.strip_prefix(&format!("{name} = \""))).expect("a line");
            line.trim_end_matches('"').to_owned()
        };
        assert_eq!(format!("/{}/{}", path("prefix"), path("subpath")), PROXIED_PATH);
        assert_eq!(path("url"), "https://quotes.example.com/proxy");
        let liquid = liquid_block("https://quotes.example.com");
        assert!(liquid.contains("product=\"{{ product.id }}\" proxy=\"/apps/quotes\""), "{liquid}");
        assert!(liquid.contains("src=\"https://quotes.example.com/widget/v1.js\""), "{liquid}");
    }

    #[test]
    fn the_block_is_what_the_shopify_cli_reads() {
        let expected = r#"[webhooks]
api_version = "2026-10"

  [[webhooks.subscriptions]]
  compliance_topics = ["customers/data_request", "customers/redact", "shop/redact"]
  uri = "https://quotes.example.com/webhooks"

  [[webhooks.subscriptions]]
  topics = ["app/uninstalled"]
  uri = "https://quotes.example.com/webhooks"
  include_fields = ["id", "myshopify_domain", "updated_at"]
"#;
        let block = toml_block("https://quotes.example.com/webhooks");
        assert!(block.starts_with(expected), "{block}");
        // The others have the shape of app/uninstalled.
        for topic in Topic::DRAFT_ORDERS {
            let Some(Subscription::Fields(fields)) = topic.subscription() else { panic!("{topic} has fields") };
            let own = format!(
                "\n  [[webhooks.subscriptions]]\n  topics = [\"{topic}\"]\n  uri = \"https://quotes.example.com/webhooks\"\n  \
                 include_fields = [\"{}\"]\n",
                fields.join("\", \"")
            );
            assert!(block.contains(&own), "{own} in {block}");
        }
    }
}
