//! `quotegrid options`: option groups, their choices, and which products offer them.

use super::matrices::scope_of;
use super::output::{Output, table};
use super::{Failure, open, say_confirm, write_in_store};
use crate::access::audit::Entry;
use crate::app::App;
use crate::catalog::assignments;
use crate::catalog::matrices::Deletion;
use crate::catalog::options::{self, EditedChoice, GroupEdit, NewChoice, NewGroup, StoredGroup};
use crate::catalog::stores::Scope;
use crate::catalog::{DELETION_STEP, Expected};
use crate::config::DatabaseSettings;
use crate::db::Schema;
use crate::domain::ids::{ChoiceId, OptionGroupId, ProductId, ShopDomain};
use crate::domain::money::{BasisPoints, Currency};
use crate::domain::name::Name;
use crate::domain::options::{Choice, ChoiceDraft, Modifier, ModifierDraft, Requirement, check_choices};
use crate::error::{Error, Kind, Result};
use crate::views::catalog as views;
use clap::{Args, Subcommand};
use rusqlite::Connection;
use serde_json::json;

type Outcome = std::result::Result<(), Failure>;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The store's domain, name.myshopify.com; may be left out where the database holds one store only
    #[arg(long, global = true)]
    shop: Option<ShopDomain>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List a store's option groups with their choices, newest first
    List {
        /// Only those made before this one: the last of the page before
        #[arg(long, value_name = "ID")]
        before: Option<OptionGroupId>,
        /// At most this many
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
    },
    /// Show an option group
    Show {
        /// Its id, or its name where only one has it
        group: String,
    },
    /// Make an option group
    Add {
        /// Its name
        name: Name,
        /// Orders need a choice of this group
        #[arg(long)]
        required: bool,
        /// A choice, and what it adds to the price of a piece: "White", "Handle=89.00", "Oak=5%", "Discount=-2.50"; may be repeated
        #[arg(long = "choice", value_name = "LABEL[=AMOUNT|=PERCENT%]", required = true)]
        choices: Vec<String>,
        /// The label of the choice that pages select first
        #[arg(long, value_name = "LABEL")]
        default: Option<String>,
    },
    /// Change an option group; choices keep their ids by their labels
    Set(SetArgs),
    /// Copy an option group, without its products
    Duplicate {
        /// Its id, or its name where only one has it
        group: String,
    },
    /// Delete an option group; orders keep what was chosen
    Delete {
        /// Its id, or its name where only one has it
        group: String,
        /// Also where products offer it
        #[arg(long)]
        confirm: bool,
    },
    /// Offer an option group with products, after those they offer already
    Assign {
        /// The group's id, or its name where only one has it
        group: String,
        /// The products: the digits of their ids, or gid://shopify/Product/ and the digits
        #[arg(required = true, value_name = "PRODUCT")]
        products: Vec<ProductId>,
    },
    /// No longer offer an option group with products
    Unassign {
        /// The group's id, or its name where only one has it
        group: String,
        /// The products
        #[arg(required = true, value_name = "PRODUCT")]
        products: Vec<ProductId>,
    },
}

#[derive(Debug, Args)]
struct SetArgs {
    /// The group's id, or its name where only one has it
    group: String,
    #[command(flatten)]
    what: SetWhat,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct SetWhat {
    /// Its new name
    #[arg(long)]
    name: Option<Name>,
    /// Whether orders need a choice of it
    #[arg(long, value_name = "required|optional", value_parser = requirement)]
    requirement: Option<Requirement>,
    /// All its choices in their order, as with `add`; those that are not named go
    #[arg(long = "choice", value_name = "LABEL[=AMOUNT|=PERCENT%]")]
    choices: Vec<String>,
    /// The label of the choice that pages select first; none takes it away
    #[arg(long, value_name = "LABEL|none")]
    default: Option<String>,
}

/// Reads a requirement in either case.
fn requirement(text: &str) -> std::result::Result<Requirement, String> {
    text.to_ascii_uppercase().parse().map_err(|_unknown| "must be required or optional".to_owned())
}

pub(super) fn run(database: &DatabaseSettings, options: Options, output: Output) -> Outcome {
    let Options { shop, command } = options;
    let app = open(database, Schema::MustBeCurrent)?;
    let scope = app.db.read(|connection| scope_of(connection, shop.as_ref()))?;
    let named = |group: &str| app.db.read(|connection| load(connection, scope, group));
    match command {
        Command::List { before, limit } => {
            let found = app.db.read(|connection| options::list(connection, scope.store, before, limit))?;
            let document = json!({ "optionGroups": found.iter().map(views::option_group).collect::<Vec<_>>() });
            output.print(&document, || list_text(&found))?;
        }
        Command::Show { group } => show(&named(&group)?, output)?,
        Command::Add { name, required, choices, default } => {
            let choices = read_choices(&app, scope.currency, &choices, default.as_deref(), &[])?;
            let requirement = if required { Requirement::Required } else { Requirement::Optional };
            let group =
                NewGroup { name, requirement, choices: choices.into_iter().map(|edited| edited.choice).collect() };
            let now = app.clock.now();
            let id = OptionGroupId::new(now, app.entropy.array());
            let entry = Entry::new("option_group.create").object(id);
            let made = write_in_store(&app, scope, entry, move |tx| -> Result<_> {
                options::insert(tx, now, id, scope, &group)?;
                options::load(tx, scope.store, id)
            })?;
            show(&made, output)?;
        }
        Command::Set(SetArgs { group, what }) => set(&app, scope, &named(&group)?, what, output)?,
        Command::Duplicate { group } => {
            let (now, entropy, id) = (app.clock.now(), app.entropy.clone(), named(&group)?.group.id);
            let entry = Entry::new("option_group.duplicate").object(id);
            let made =
                write_in_store(&app, scope, entry, move |tx| options::duplicate(tx, now, entropy.as_ref(), scope, id))?;
            show(&made, output)?;
        }
        Command::Delete { group, confirm } => delete(&app, scope, &named(&group)?, confirm, output)?,
        Command::Assign { group, products } => {
            let (now, group) = (app.clock.now(), named(&group)?.group);
            let id = group.id;
            offered(&app, scope, products, output, move |tx, product| {
                assignments::add_group(tx, now, scope, product, id)
            })?;
        }
        Command::Unassign { group, products } => {
            let (now, group) = (app.clock.now(), named(&group)?.group);
            let id = group.id;
            offered(&app, scope, products, output, move |tx, product| {
                assignments::remove_group(tx, now, scope, product, id)
            })?;
        }
    }
    Ok(())
}

/// The group with this id or name.
fn load(connection: &Connection, scope: Scope, named: &str) -> Result<StoredGroup> {
    if let Ok(id) = named.parse() {
        return options::load(connection, scope.store, id);
    }
    let mut found = options::find_by_name(connection, scope.store, named)?;
    match (found.pop(), found.is_empty()) {
        (Some(id), true) => options::load(connection, scope.store, id),
        (Some(_), false) => {
            Err(Error::new(Kind::Conflict, format!("several option groups are called {named:?}: name one by its id")))
        }
        (None, _) => Err(Error::not_found(format!("option group {named:?}"))),
    }
}

/// Reads choices as they are typed. Those whose label is among the `known` keep their id.
fn read_choices(
    app: &App,
    currency: Currency,
    typed: &[String],
    default: Option<&str>,
    known: &[Choice],
) -> Result<Vec<EditedChoice>> {
    const CANNOT: &str = "the option group cannot be saved";
    let now = app.clock.now();
    let mut error = Error::new(Kind::Invalid, CANNOT);
    let mut choices: Vec<EditedChoice> = Vec::with_capacity(typed.len());
    for text in typed {
        let (label, modifier) = match read_choice(currency, text) {
            Ok(read) => read,
            Err(fault) => {
                error = error.with_fault(format!("--choice {text:?}"), fault);
                continue;
            }
        };
        if choices.iter().any(|other| other.choice.label == label) {
            error = error.with_fault(format!("--choice {text:?}"), "has the label of another choice");
        }
        let kept = known.iter().find(|choice| choice.label == label).map(|choice| choice.id);
        let is_default = default == Some(label.as_str());
        let id = kept.unwrap_or_else(|| ChoiceId::new(now, app.entropy.array()));
        choices.push(EditedChoice { choice: NewChoice { id, label, modifier, is_default }, is_known: kept.is_some() });
    }
    if default.is_some_and(|label| choices.iter().all(|edited| edited.choice.label.as_str() != label)) {
        error = error.with_fault("--default", "must be the label of a choice");
    }
    let defaults: Vec<bool> = choices.iter().map(|edited| edited.choice.is_default).collect();
    for fault in check_choices(&defaults).err().into_iter().flatten().filter(|_| choices.len() == typed.len()) {
        error = error.with_fault("--choice", fault.to_string());
    }
    if error.faults().is_empty() { Ok(choices) } else { Err(error) }
}

/// Reads `LABEL`, `LABEL=AMOUNT` or `LABEL=PERCENT%`.
fn read_choice(currency: Currency, text: &str) -> std::result::Result<(Name, Modifier), String> {
    let (label, value) = text.rsplit_once('=').unwrap_or((text, "0"));
    let value = value.trim();
    let value = value.strip_prefix('+').unwrap_or(value);
    let unreadable = |fault: crate::domain::DecimalFault| {
        format!("what it adds {fault}: an amount in {currency} such as 89 or -2.5, or a percentage such as 5%")
    };
    let modifier = match value.strip_suffix('%') {
        Some(share) => {
            let percent = BasisPoints::parse_percent(share.trim()).map_err(unreadable)?;
            ModifierDraft { percent: Some(percent), ..ModifierDraft::default() }
        }
        None => {
            let amount = currency.parse_amount(value).map_err(unreadable)?;
            ModifierDraft { amount: Some(amount), ..ModifierDraft::default() }
        }
    };
    let checked = ChoiceDraft { label, modifier }.check(None);
    checked
        .map_err(|faults| faults.iter().map(|(field, fault)| format!("{field} {fault}")).collect::<Vec<_>>().join("; "))
}

fn set(app: &App, scope: Scope, stored: &StoredGroup, what: SetWhat, output: Output) -> Outcome {
    let SetWhat { name, requirement, choices, default } = what;
    let none = default.as_deref() == Some("none");
    let wanted_default = default.as_deref().filter(|_| !none);
    let current = &stored.group.choices;
    let choices = if !choices.is_empty() {
        Some(read_choices(app, scope.currency, &choices, wanted_default, current)?)
    } else if default.is_some() {
        if wanted_default.is_some_and(|label| current.iter().all(|choice| choice.label.as_str() != label)) {
            let error = Error::new(Kind::Invalid, "the option group cannot be saved");
            return Err(error.with_fault("--default", "must be the label of a choice, or none").into());
        }
        let marked = |choice: &Choice| {
            let is_default = wanted_default == Some(choice.label.as_str());
            EditedChoice { choice: NewChoice { is_default, ..choice.clone().into() }, is_known: true }
        };
        Some(current.iter().map(marked).collect())
    } else {
        None
    };
    let (now, id, expected) = (app.clock.now(), stored.group.id, Some(Expected::Version(stored.version)));
    let edit = GroupEdit { name, requirement, choices };
    let entry = Entry::new("option_group.update").object(id);
    let saved = write_in_store(app, scope, entry, move |tx| options::replace(tx, now, scope, id, expected, edit))?;
    show(&saved, output)
}

fn delete(app: &App, scope: Scope, stored: &StoredGroup, confirmed: bool, output: Output) -> Outcome {
    let (now, id) = (app.clock.now(), stored.group.id);
    let mut expected = Some(Expected::Version(stored.version));
    loop {
        let step = write_in_store(app, scope, Entry::new("option_group.delete").object(id), move |tx| {
            if !confirmed {
                assignments::refuse_group_in_use(tx, scope.store, id, expected)?;
            }
            options::delete(tx, now, scope, id, expected, DELETION_STEP)
        });
        match step.map_err(say_confirm)? {
            Deletion::Continues(version) => expected = Some(Expected::Version(version)),
            Deletion::Done => break,
        }
    }
    output.print(&json!({ "id": id.to_string(), "deleted": true }), || format!("option group {id} is deleted"))?;
    Ok(())
}

/// Changes what products offer, all or none, and shows it.
fn offered(
    app: &App,
    scope: Scope,
    products: Vec<ProductId>,
    output: Output,
    change: impl Fn(&crate::db::Tx<'_>, &ProductId) -> Result<()> + Send + 'static,
) -> Outcome {
    let entry = products.iter().fold(Entry::new("product.offer"), |entry, product| entry.object(product));
    let changed = write_in_store(app, scope, entry, move |tx| -> Result<Vec<_>> {
        let one = |product: &ProductId| {
            change(tx, product)?;
            Ok((product.clone(), assignments::find_product(tx, scope.store, product)?))
        };
        products.iter().map(one).collect()
    })?;
    // A product that has nothing any more is not known here.
    let found: Vec<_> = changed.iter().filter_map(|(_, found)| found.as_ref().map(views::product)).collect();
    output.print(&json!({ "products": found }), || {
        let lines = changed.iter().map(|(id, found)| {
            let groups: Vec<&str> =
                found.iter().flat_map(|product| &product.groups).map(|(_, name)| name.as_str()).collect();
            let groups = if groups.is_empty() { "no option groups".to_owned() } else { groups.join(", ") };
            format!("{id} offers {groups}")
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(())
}

fn show(stored: &StoredGroup, output: Output) -> Outcome {
    output.print(&views::option_group(stored), || {
        let group = &stored.group;
        let mut lines = vec![format!(
            "{} ({}), version {}, {}, offered with {} products",
            group.name, group.id, stored.version, group.requirement, stored.products
        )];
        lines.extend(group.choices.iter().map(|choice| {
            let default = if choice.is_default { ", selected first" } else { "" };
            format!("  {} ({}){default}  {}", choice.label, adds(choice, stored.currency), choice.id)
        }));
        lines.join("\n")
    })?;
    Ok(())
}

/// What a choice adds, as people write it.
fn adds(choice: &Choice, currency: Currency) -> String {
    let sign = if choice.modifier.value() < 0 { "" } else { "+" };
    match choice.modifier {
        Modifier::Fixed(amount) => format!("{sign}{} {currency}", currency.format(amount)),
        Modifier::Percentage(share) => format!("{sign}{} %", share.format_percent()),
    }
}

fn list_text(found: &[StoredGroup]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|stored| {
            let choices: Vec<String> = stored
                .group
                .choices
                .iter()
                .map(|choice| format!("{} ({})", choice.label, adds(choice, stored.currency)))
                .collect();
            vec![
                stored.group.id.to_string(),
                stored.group.name.to_string(),
                stored.group.requirement.to_string(),
                stored.products.to_string(),
                stored.version.to_string(),
                choices.join(", "),
            ]
        })
        .collect();
    table(&["ID", "NAME", "REQUIREMENT", "PRODUCTS", "VERSION", "CHOICES"], &rows, "no option groups")
}
