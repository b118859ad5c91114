//! The handbook: pages for operators of quotegrid, for authors of a shop's pages, and for programs that build on it. They are the files
//! `src/docs/*.md`, which read just as well without rustdoc.
//!
//! - To try it: [`getting_started`], [`price_lists`].
//! - To run it: [`operating`] with the files of [`deployment`], [`console`], [`settings`], [`commands`], [`metrics`], [`edge`], [`figures`].
//! - For a shop: [`widget`], [`storefront`], [`handover`], [`admin_api`].
//! - For the law: [`webhooks`], [`privacy`].
//! - To build on it: [`embedding`], and then the [crate's front page](crate).

/// A page. Its links lead to files, as a reader of the repository needs them; `links.md` goes first, so that rustdoc takes its
/// targets, which are modules, for the same labels.
macro_rules! page {
    ($name:ident, $file:literal) => {
        #[doc = include_str!("links.md")]
        #[doc = include_str!($file)]
        pub mod $name {}
    };
}

page!(getting_started, "getting_started.md");
page!(price_lists, "price_lists.md");
page!(operating, "operating.md");
page!(settings, "settings.md");
page!(commands, "commands.md");
page!(console, "console.md");
page!(metrics, "metrics.md");
page!(widget, "widget.md");
page!(storefront, "storefront.md");
page!(handover, "handover.md");
page!(admin_api, "admin_api.md");
page!(webhooks, "webhooks.md");
page!(privacy, "privacy.md");
page!(edge, "edge.md");
page!(embedding, "embedding.md");
page!(figures, "figures.md");

/// # Files to install
///
/// What [operating] puts on a machine: the files of `data/deploy`, whole. The first line of each says where it belongs.
#[doc = concat!("## quotegrid.service\n\n```ini\n", include_str!("../../data/deploy/quotegrid.service"), "```\n")]
#[doc = concat!("## quotegrid-doctor.service\n\n```ini\n", include_str!("../../data/deploy/quotegrid-doctor.service"), "```\n")]
#[doc = concat!("## quotegrid-doctor.timer\n\n```ini\n", include_str!("../../data/deploy/quotegrid-doctor.timer"), "```\n")]
#[doc = concat!("## quotegrid-alarm@.service\n\n```ini\n", include_str!("../../data/deploy/quotegrid-alarm@.service"), "```\n")]
#[doc = concat!("## quotegrid-backup.service\n\n```ini\n", include_str!("../../data/deploy/quotegrid-backup.service"), "```\n")]
#[doc = concat!("## quotegrid-backup.timer\n\n```ini\n", include_str!("../../data/deploy/quotegrid-backup.timer"), "```\n")]
#[doc = concat!("## litestream-pause.service\n\n```ini\n", include_str!("../../data/deploy/litestream-pause.service"), "```\n")]
#[doc = concat!("## Caddyfile\n\n```text\n", include_str!("../../data/deploy/Caddyfile"), "```\n")]
#[doc = concat!("## nginx.conf\n\n```text\n", include_str!("../../data/deploy/nginx.conf"), "```\n")]
pub mod deployment {}
