//! What holds for every price, whatever the matrix, the options and the size.

use proptest::prelude::*;
use quotegrid::domain::length::{Length, Unit};
use quotegrid::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use quotegrid::domain::matrix_csv::{ImportOptions, Layout, export, import};
use quotegrid::domain::money::{Currency, Minor};
use quotegrid::domain::options::{Choice, Modifier, OptionGroup, RequiredGroups, Requirement, Selection};
use quotegrid::domain::quote::{Exact, QUANTITY_MAX, Quantity, Quote, QuoteRequest, StepKind, quote};
use std::collections::BTreeSet;
use uuid::Uuid;

fn length(thousandths: i64) -> Length {
    Length::from_thousandths(thousandths).expect("a length")
}

fn axis() -> impl Strategy<Value = Vec<Length>> {
    prop::collection::btree_set(1_i64..2_000_000, 1..=12)
        .prop_map(|steps: BTreeSet<i64>| steps.into_iter().map(length).collect())
}

/// A matrix of any size, with cells that are not offered and whole rows and columns of them.
fn matrix(outside: OutOfRange) -> impl Strategy<Value = PriceMatrix> {
    (axis(), axis()).prop_flat_map(move |(widths, heights)| {
        let cell = prop_oneof![1 => Just(None), 4 => (0_i64..10_000_000).prop_map(|price| Some(Minor::new(price)))];
        let row = prop::collection::vec(cell, widths.len());
        prop::collection::vec(row, heights.len()).prop_map(move |prices| {
            PriceMatrix::new(&widths, &heights, &prices, outside, SizeLimits::default()).expect("valid")
        })
    })
}

fn modifier() -> impl Strategy<Value = Modifier> {
    let fixed = (-2_000_000_i64..2_000_000).prop_map(|value| Modifier::from_parts("FIXED", value));
    let share = (-30_000_i64..30_000).prop_map(|value| Modifier::from_parts("PERCENTAGE", value));
    prop_oneof![fixed, share].prop_map(|modifier| modifier.expect("a modifier"))
}

/// One optional group for each modifier, and selections that pick them all.
fn product(modifiers: &[Modifier]) -> (Vec<OptionGroup>, Vec<Selection>) {
    let group = |(number, &modifier): (u128, &Modifier)| OptionGroup {
        id: Uuid::from_u128(number).into(),
        name: "Glass".parse().expect("a name"),
        requirement: Requirement::Optional,
        choices: vec![Choice {
            id: Uuid::from_u128(number + 100).into(),
            label: "Frosted".parse().expect("a name"),
            modifier,
            is_default: false,
        }],
    };
    let groups: Vec<OptionGroup> = (1..).zip(modifiers).map(group).collect();
    let selection = |group: &OptionGroup| Selection {
        option_group_id: group.id.to_string(),
        choice_id: group.choices[0].id.to_string(),
    };
    let selections = groups.iter().map(selection).collect();
    (groups, selections)
}

fn price(
    matrix: &PriceMatrix,
    size: (i64, i64),
    pieces: u32,
    groups: &[OptionGroup],
    picks: &[Selection],
) -> Option<Quote> {
    let request = QuoteRequest {
        width: length(size.0),
        height: length(size.1),
        quantity: Quantity::new(pieces, QUANTITY_MAX).expect("a quantity"),
        selections: picks,
        required: RequiredGroups::Enforced,
    };
    quote(matrix, groups, &request).ok()
}

proptest! {
    #[test]
    fn a_total_is_never_negative_and_is_the_sum_of_its_breakdown(
        matrix in matrix(OutOfRange::Clamp),
        size in (1_i64..3_000_000, 1_i64..3_000_000),
        pieces in 1..=QUANTITY_MAX,
        modifiers in prop::collection::vec(modifier(), 0..=5),
    ) {
        let (groups, picks) = product(&modifiers);
        if let Some(quote) = price(&matrix, size, pieces, &groups, &picks) {
            prop_assert!(quote.unit_price >= Minor::ZERO);
            let sum: i64 = quote.modifiers.iter().map(|modifier| modifier.applied.get()).sum();
            prop_assert_eq!(quote.unit_price.get(), (quote.base_price().get() + sum).max(0));
            prop_assert_eq!(quote.total.get(), quote.unit_price.get() * i64::from(pieces));
        }
    }

    #[test]
    fn the_steps_of_an_explanation_add_up_to_the_price_and_to_the_total(
        matrix in matrix(OutOfRange::Clamp),
        size in (1_i64..3_000_000, 1_i64..3_000_000),
        pieces in 1..=QUANTITY_MAX,
        modifiers in prop::collection::vec(modifier(), 0..=5),
    ) {
        let (groups, picks) = product(&modifiers);
        if let Some(quote) = price(&matrix, size, pieces, &groups, &picks) {
            let steps = quote.explain(Currency::USD, quotegrid::domain::length::Unit::Mm);
            let mut sum = 0;
            for step in &steps {
                if step.kind == StepKind::Quantity {
                    prop_assert_eq!(sum, Exact::from(quote.unit_price).get());
                }
                sum += step.amount.get();
                prop_assert_eq!(sum, step.subtotal.get());
            }
            prop_assert_eq!(sum, Exact::from(quote.total).get());
        }
    }

    #[test]
    fn the_order_of_selections_never_changes_the_price(
        matrix in matrix(OutOfRange::Clamp),
        size in (1_i64..3_000_000, 1_i64..3_000_000),
        (given, shuffled) in prop::collection::vec(modifier(), 0..=5).prop_map(|modifiers| product(&modifiers).1)
            .prop_flat_map(|picks| (Just(picks.clone()), Just(picks).prop_shuffle())),
        modifiers in prop::collection::vec(modifier(), 5),
    ) {
        let (groups, _) = product(&modifiers);
        let prices = [&given, &shuffled].map(|picks| price(&matrix, size, 3, &groups, picks));
        prop_assert_eq!(prices[0].as_ref().map(|quote| quote.total), prices[1].as_ref().map(|quote| quote.total));
        if let Some(quote) = &prices[1] {
            let order: Vec<String> = quote.modifiers.iter().map(|modifier| modifier.option_group_id.to_string()).collect();
            let asked: Vec<String> = shuffled.iter().map(|selection| selection.option_group_id.clone()).collect();
            prop_assert_eq!(order, asked);
        }
    }

    #[test]
    fn a_wider_or_higher_pane_never_falls_to_a_smaller_step(
        matrix in matrix(OutOfRange::Clamp),
        size in (1_i64..3_000_000, 1_i64..3_000_000),
        more in (0_i64..1_000_000, 0_i64..1_000_000),
    ) {
        let small = matrix.find_cell(length(size.0), length(size.1));
        let large = matrix.find_cell(length(size.0 + more.0), length(size.1 + more.1));
        if let (Ok(small), Ok(large)) = (small, large) {
            prop_assert!(large.width_position >= small.width_position);
            prop_assert!(large.height_position >= small.height_position);
        }
    }

    #[test]
    fn a_grid_that_rejects_never_prices_a_size_by_a_smaller_step(
        matrix in matrix(OutOfRange::Reject),
        size in (1_i64..3_000_000, 1_i64..3_000_000),
    ) {
        if let Ok(cell) = matrix.find_cell(length(size.0), length(size.1)) {
            prop_assert!(cell.width >= length(size.0) && cell.height >= length(size.1));
        }
    }

    #[test]
    fn an_exported_matrix_comes_back_as_it_was(
        matrix in matrix(OutOfRange::Reject),
        code in prop::sample::select(&["USD", "JPY", "KWD", "CLF"][..]),
        layout in prop::sample::select(&[Layout::Long, Layout::Grid][..]),
    ) {
        let currency: Currency = code.parse().expect("a currency");
        let text = export(&matrix, currency, layout);
        let read = import(text.as_bytes(), &ImportOptions::new(Unit::Mm, currency));
        prop_assert_eq!((read.layout, &read.faults), (layout, &Vec::new()));
        prop_assert_eq!(read.accept().ok(), Some(matrix));
    }

    #[test]
    fn no_file_makes_an_import_panic_or_pass_with_faults(
        text in "[0-9a-z,;\t\"\r\n .'/€↓\u{a0}-]{0,200}",
        skip_bad in any::<bool>(),
    ) {
        let options = ImportOptions { skip_bad, ..ImportOptions::new(Unit::Mm, Currency::USD) };
        let read = import(text.as_bytes(), &options);
        let faults = read.faults.len();
        let accepted = read.accept().is_ok();
        prop_assert!(skip_bad || accepted == (faults == 0));
    }

    #[test]
    fn money_survives_text_and_json_numbers(minor in 0..=Minor::MAX.get(), code in prop::sample::select(&["USD", "JPY", "KWD", "CLF"][..])) {
        let currency: Currency = code.parse().expect("a currency");
        let amount = Minor::new(minor);
        prop_assert_eq!(currency.parse_price(&currency.format(amount)), Ok(amount));
        prop_assert_eq!(currency.price_from_number(&currency.to_number(amount)), Ok(amount));
        // As a client writes it, and as a client reads what we write.
        let sent: serde_json::Value = serde_json::from_str(&currency.format(amount)).expect("JSON");
        prop_assert_eq!(sent.as_number().map(|number| currency.price_from_number(number)), Some(Ok(amount)));
    }
}
